import CLinux
import Glibc
import Synchronization

/// A program that a test started, in a process group of its own; killed and waited for when the test is over.
final class ServerProcess: Sendable {
    let id: pid_t
    private let isStopped = Mutex(false)

    init(_ arguments: [String]) {
        let directory = clinux_open_directory("/")
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(directory)
            close(null)
        }
        var id: pid_t = 0
        let argv = arguments.map { strdup($0) } + [nil]
        // Without any descriptor of this process: a socket that a server held open would never seem closed.
        let result = clinux_spawn(&id, directory, arguments[0], argv, environ, -1, null, null)
        precondition(result == 0, "\(arguments[0]): \(result)")
        for pointer in argv { free(pointer) }
        self.id = id
    }

    deinit {
        self.stop()
    }

    func stop(signal: CInt = SIGKILL) {
        self.isStopped.withLock { isStopped in
            guard !isStopped else { return }
            isStopped = true
            // A killed php-fpm leaves its workers behind: they are of the same group.
            kill(signal == SIGKILL ? -self.id : self.id, signal)
            var status: CInt = 0
            waitpid(self.id, &status, 0)
        }
    }
}
