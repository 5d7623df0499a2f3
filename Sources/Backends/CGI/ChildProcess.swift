import CLinux
import Glibc
import Synchronization

/// A script that was started: its number and our ends of its pipes.
struct ChildProcess: Sendable {
    let id: pid_t
    /// Becomes readable when the process ends.
    let exitDescriptor: CInt
    /// Our end of the script's standard input; -1 where it reads /dev/null.
    let input: CInt
    let output: CInt
    let errorOutput: CInt

    /// Those that are not reaped yet, of all backends: for the end of the whole program.
    private static let living = Mutex<Set<pid_t>>([])

    /// Starts a script. Blocks until the kernel has loaded it.
    ///
    /// - Parameter readsInput: whether the request has a body.
    /// - Throws: `.unavailable` where processes, descriptors or memory have run out or the interpreter is missing,
    ///   `.forbidden` where the file cannot be executed, `.malformedRequest` where the environment is too long.
    static func start(
        _ script: borrowing CGIScript,
        environment: CGIEnvironment,
        readsInput: Bool
    ) throws(BackendError) -> ChildProcess {
        var pipes = Pipes()
        guard pipes.open(readsInput: readsInput) else {
            throw BackendError(.unavailable, "pipes for the script cannot be made: error \(errno)")
        }
        var id: pid_t = 0
        let directory = script.directory
        let command = script.command
        let result = environment.withPointers { environment in
            command.withUnsafeBufferPointer { command in
                let arguments = [UnsafeMutablePointer(mutating: command.baseAddress), nil]
                return clinux_spawn(
                    &id,
                    directory,
                    command.baseAddress,
                    arguments,
                    environment,
                    pipes.input.child,
                    pipes.output.child,
                    pipes.errorOutput.child
                )
            }
        }
        guard result == 0 else { throw Self.error(result) }
        self.living.withLock { _ = $0.insert(id) }
        let exitDescriptor = clinux_pidfd_open(id)
        guard exitDescriptor >= 0 else {
            let number = errno
            kill(-id, SIGKILL)
            self.reap(id)
            throw BackendError(.unavailable, "the script's process cannot be watched: error \(number)")
        }
        defer { pipes.releaseOurs() }
        return ChildProcess(
            id: id,
            exitDescriptor: exitDescriptor,
            input: pipes.input.ours,
            output: pipes.output.ours,
            errorOutput: pipes.errorOutput.ours
        )
    }

    /// Signals the script and all processes it has started, as long as they have not left its group. Only before
    /// `reap`: until then nobody else can get the number.
    static func signalGroup(_ id: pid_t, _ signal: CInt) {
        kill(-id, signal)
    }

    /// Takes the ended process out of the process table.
    static func reap(_ id: pid_t) {
        self.living.withLock { _ = $0.remove(id) }
        var status: CInt = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
    }

    /// Kills all scripts and what they have started, because this process ends without waiting for them.
    static func killAll() {
        self.living.withLock { living in
            for id in living { self.signalGroup(id, SIGKILL) }
        }
    }

    private static func error(_ number: CInt) -> BackendError {
        switch number {
        case EACCES, EPERM, ENOEXEC:
            BackendError(.forbidden, "the script cannot be executed: error \(number)")
        case E2BIG:
            BackendError(.malformedRequest, "the environment is longer than the kernel takes")
        case ENOENT:
            BackendError(.unavailable, "the script's interpreter is missing")
        default:
            BackendError(.unavailable, "the script cannot be started: error \(number)")
        }
    }

    /// The pipes between us and a child; whatever was not released is closed at the end.
    private struct Pipes: ~Copyable {
        struct Ends {
            var ours: CInt = -1
            var child: CInt = -1
        }

        var input = Ends()
        var output = Ends()
        var errorOutput = Ends()

        mutating func open(readsInput: Bool) -> Bool {
            guard let output = Self.pipe() else { return false }
            self.output = Ends(ours: output.read, child: output.write)
            guard let error = Self.pipe() else { return false }
            self.errorOutput = Ends(ours: error.read, child: error.write)
            guard readsInput else { return true }
            guard let input = Self.pipe() else { return false }
            self.input = Ends(ours: input.write, child: input.read)
            return true
        }

        mutating func releaseOurs() {
            self.input.ours = -1
            self.output.ours = -1
            self.errorOutput.ours = -1
        }

        private static func pipe() -> (read: CInt, write: CInt)? {
            var ends: [CInt] = [-1, -1]
            return clinux_pipe(&ends) == 0 ? (ends[0], ends[1]) : nil
        }

        deinit {
            for ends in [self.input, self.output, self.errorOutput] {
                if ends.ours >= 0 { close(ends.ours) }
                if ends.child >= 0 { close(ends.child) }
            }
        }
    }
}
