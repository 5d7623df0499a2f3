import GatewayTesting
import Testing

/// The servers of a site change under a running gateway, and one is drained, as an operator does it.
@Suite(.timeLimit(.minutes(4)), .serialized)
struct RingChangeCommandTests {
    private static func configuration(_ servers: [MemcachedProcess], _ directory: TemporaryDirectory) -> String {
        """
        sites:
          default:
            servers: [\(servers.map(\.name).joined(separator: ", "))]
            connect_timeout: 2s
            operation_timeout: 2s
            load_timeout: 2s
            secret: 0123456789abcdef0123456789abcdef
            backend:
              cgi: \(directory.path("cgi-bin"))
              queue_timeout: 60s
        """
    }

    private static func command(_ arguments: [String], _ gateway: GatewayProcess) async throws -> (
        exit: ServerProcess.Exit, text: String
    ) {
        let directory = try TemporaryDirectory()
        let process = try ServerProcess(
            "/bin/sh",
            ["-c", "exec \"$0\" \"$@\" >output 2>&1", try Executable.built("session-gateway")] + arguments
                + ["--config", gateway.directory.path("gateway.yaml")],
            directory: directory.path,
            output: directory.path("shell")
        )
        let exit = try await process.waitForEnd(within: .seconds(90))
        return (exit, directory.read("output"))
    }

    private static func status(_ gateway: GatewayProcess) async throws -> (exit: ServerProcess.Exit, text: String) {
        try await Self.command(["status"], gateway)
    }

    @Test func theServersChangeAndAreDrainedUnderARunningGateway() async throws {
        var memcacheds: [MemcachedProcess] = []
        for _ in 0..<4 { memcacheds.append(try await MemcachedProcess()) }
        defer { for memcached in memcacheds { memcached.kill() } }
        let servers = memcacheds
        let gateway = try await GatewayProcess { directory in
            Self.configuration(Array(servers[0..<3]), directory)
        }
        defer { gateway.kill() }
        for memcached in servers[0..<3] {
            try await Eventually.holds(within: .seconds(30), "the server to be complete") {
                try memcached.command("mg sg:default!life") != "EN\r\n"
            }
        }
        try await Eventually.holds(within: .seconds(30), "the gateway to be registered") {
            try await Self.status(gateway).text.contains("configured with the same servers")
        }
        let before = try await Self.status(gateway)
        #expect(before.exit == .status(0))
        #expect(before.text.hasPrefix("stage stable, epoch 1\nserver \(servers[0].name) complete, in force, epoch 1\n"))

        // One is added.
        try gateway.write(Self.configuration(servers, gateway.directory))
        try gateway.reload()
        try await Eventually.holds(within: .seconds(20), "the change to begin: \(gateway.log)") {
            let status = try await Self.status(gateway)
            return status.exit == .status(2) && status.text.contains("server \(servers[3].name) ")
                && status.text.contains(", joining, ") && status.text.contains(", staying, ")
        }
        try await Eventually.holds(within: .seconds(60), "the change to end: \(gateway.log)") {
            let status = try await Self.status(gateway)
            return status.exit == .status(0) && status.text.contains("server \(servers[3].name) complete, in force")
        }
        #expect(gateway.log.contains("the servers are being changed"))
        #expect(gateway.log.contains("all sessions are on the new servers"))
        #expect(gateway.log.contains("the servers are in force"))

        // Another is drained, rebooted, and serves again.
        let drained = try await Self.command(["drain", servers[1].name], gateway)
        #expect(drained.exit == .status(0), "\(drained.text)")
        #expect(
            drained.text.contains("\(servers[1].name) is drained, 0 sessions were moved: it is safe to take it down")
        )
        let second = try await Self.command(["drain", servers[2].name], gateway)
        #expect(second.exit == .status(1) && second.text.contains("refused: drained already: \(servers[1].name)"))
        #expect(try await Self.status(gateway).text.contains("server \(servers[1].name) complete, drained"))
        try await servers[1].restart()
        let early = try await Self.command(["undrain", servers[1].name], gateway)
        #expect(early.exit == .status(1) && early.text.contains("is not complete yet"))
        try await Eventually.holds(within: .seconds(30), "the server to be filled") {
            try await Self.status(gateway).text.contains("server \(servers[1].name) complete, drained")
        }
        let undrained = try await Self.command(["undrain", servers[1].name], gateway)
        #expect(undrained.exit == .status(0), "\(undrained.text)")

        // A start with fewer servers is a change as well.
        #expect(try await gateway.stop() == .status(0))
        try gateway.write(Self.configuration(Array(servers[1...]), gateway.directory))
        try await gateway.start()
        try await Eventually.holds(within: .seconds(60), "the server to be removed: \(gateway.log)") {
            let status = try await Self.status(gateway)
            return status.exit == .status(0) && !status.text.contains("server \(servers[0].name)")
        }
    }
}
