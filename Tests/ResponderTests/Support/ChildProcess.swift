import Dispatch
import Glibc

/// A program started by a test, ended by its process id.
struct ChildProcess: Sendable {
    private let id: pid_t

    init(_ arguments: [String]) throws {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A child inherits what is blocked and ignored here, and could then not be ended.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var id = pid_t()
        let result = posix_spawn(&id, arguments[0], nil, &attributes, &pointers, environ)
        guard result == 0 else { throw RawClient.Failure(description: "\(arguments[0]): errno \(result)") }
        self.id = id
    }

    /// Asks it to end, and waits until it has.
    func end() async {
        kill(self.id, SIGTERM)
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "child").async {
                var status: Int32 = 0
                while waitpid(self.id, &status, 0) < 0 && errno == EINTR {}
                continuation.resume()
            }
        }
    }
}
