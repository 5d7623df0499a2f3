import Glibc
import Synchronization

/// The gateway as it was built beside the tests, with its sockets, state and log in a directory of its own.
package final class GatewayProcess: Sendable {
    package let directory: TemporaryDirectory
    /// Where nginx's `fastcgi_pass` goes.
    package let socketPath: String
    private let place: ProcessPlace
    private let environment: [String: String]
    private let running = RunningProcess()
    /// Bytes of the log when the present process was started.
    private let earlierLog = Mutex(0)

    /// - Parameters:
    ///   - place: the network it sees; it listens on a unix socket wherever it is.
    ///   - environment: more variables of its environment.
    ///   - configuration: what follows the lines about sockets and state in the YAML file: at least `sites:`. Gets the
    ///     directory.
    package init(
        at place: ProcessPlace = .loopback,
        environment: [String: String] = [:],
        _ configuration: (_ directory: TemporaryDirectory) throws -> String
    ) async throws {
        self.directory = try TemporaryDirectory()
        self.place = place
        self.environment = environment
        self.socketPath = self.directory.path("gateway.sock")
        try self.write(configuration(self.directory))
        try await self.start()
    }

    package var address: SocketAddress { .unix(self.socketPath) }
    /// As nginx writes it.
    package var upstream: String { "unix:\(self.socketPath)" }
    package var process: ServerProcess { get throws { try self.running.process() } }
    /// Everything it has logged so far, over restarts.
    package var log: String { self.directory.read("gateway.log") }
    /// What the present process has logged so far.
    package var logSinceStart: String {
        String(decoding: self.log.utf8.dropFirst(self.earlierLog.withLock { $0 }), as: UTF8.self)
    }

    /// Replaces the configuration file, without telling the gateway.
    package func write(_ configuration: String) throws {
        try self.directory.write(
            "gateway.yaml",
            """
            listen: unix:\(self.socketPath)
            late_socket: \(self.directory.path("late.sock"))
            state_directory: \(self.directory.path("state"))
            \(configuration)

            """
        )
    }

    package func start() async throws {
        let length = self.log.utf8.count
        self.earlierLog.withLock { $0 = length }
        let process = try ServerProcess(
            at: self.place,
            Executable.built("session-gateway"),
            ["run", "--config", self.directory.path("gateway.yaml")],
            environment: [
                "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "SWIFT_BACKTRACE": "enable=no",
            ].merging(self.environment) { $1 },
            directory: self.directory.path,
            output: self.directory.path("gateway.log")
        )
        try await process.waitUntilReady(self.address)
        self.running.set(process)
    }

    package func kill() { self.running.set(nil) }

    package func restart() async throws {
        self.kill()
        try await self.start()
    }

    /// SIGTERM, and how it ended.
    package func stop() async throws -> ServerProcess.Exit { try await self.process.terminate() }

    /// SIGHUP, after the file was written anew.
    package func reload() throws { try self.process.send(SIGHUP) }
}
