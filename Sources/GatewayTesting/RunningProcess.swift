import Synchronization

/// The process that runs now, where a server can be restarted. The old one ends when it is replaced.
final class RunningProcess: Sendable {
    private let running = Mutex<ServerProcess?>(nil)

    func set(_ process: ServerProcess?) {
        let old = self.running.withLock { running in
            defer { running = process }
            return running
        }
        old?.killNow()
    }

    func process() throws -> ServerProcess {
        guard let process = self.running.withLock({ $0 }) else { throw TestingError("the server was killed") }
        return process
    }
}
