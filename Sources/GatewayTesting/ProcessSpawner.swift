import Foundation
import Synchronization

/// The one thread that starts processes. A process that asks for a signal at its parent's death gets it at the death of
/// the *thread* that started it: this one lives as long as the tests do.
final class ProcessSpawner: Sendable {
    static let shared = ProcessSpawner()

    private let jobs = Mutex<[@Sendable () -> Void]>([])
    private let arrived = DispatchSemaphore(value: 0)

    private init() {
        Thread.detachNewThread {
            while true {
                self.arrived.wait()
                self.jobs.withLock { $0.removeFirst() }()
            }
        }
    }

    /// Starts a process in a process group of its own, with default signals, and without any descriptor but 0 (`/dev/null`),
    /// 1 and 2 (both appended to a file).
    /// - Parameter deathSignal: what the process gets when the tests die.
    func spawn(
        _ arguments: [String],
        environment: [String: String],
        directory: String?,
        output: String,
        deathSignal: String
    ) throws -> pid_t {
        let result = Mutex<Result<pid_t, TestingError>?>(nil)
        let done = DispatchSemaphore(value: 0)
        let setpriv = try Executable.find("setpriv", package: "util-linux")
        let line = [setpriv, "--pdeathsig", deathSignal, "--"] + arguments
        self.jobs.withLock {
            $0.append {
                let spawned = Self.spawnHere(line, environment: environment, directory: directory, output: output)
                result.withLock { $0 = spawned }
                done.signal()
            }
        }
        self.arrived.signal()
        done.wait()
        return try result.withLock { $0 ?? .failure(TestingError("not spawned")) }.get()
    }

    private static func spawnHere(
        _ line: [String],
        environment: [String: String],
        directory: String?,
        output: String
    ) -> Result<pid_t, TestingError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // `import Glibc` does not show these two (glibc 2.29 and 2.34).
        if let directory, let symbol = dlsym(nil, "posix_spawn_file_actions_addchdir_np") {
            _ = directory.withCString { unsafeBitCast(symbol, to: ChangeDirectory.self)(&actions, $0) }
        }
        if let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") {
            _ = unsafeBitCast(symbol, to: CloseFrom.self)(&actions, 3)
        }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
        )

        let arguments = line.map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, line[0], &actions, &attributes, arguments, variables)
        return code == 0
            ? .success(pid) : .failure(TestingError("cannot start \(line.joined(separator: " ")): \(code)"))
    }

    private typealias Actions = UnsafeMutablePointer<posix_spawn_file_actions_t>
    private typealias ChangeDirectory = @convention(c) (Actions, UnsafePointer<CChar>) -> Int32
    private typealias CloseFrom = @convention(c) (Actions, Int32) -> Int32
}
