import GatewayTesting
import Testing

/// `session-gateway verify` and `repair`, of a site whose items were changed behind the gateway's back.
@Suite(.timeLimit(.minutes(3)))
struct MaintenanceCommandTests {
    @Test func verifyTellsWhatIsMissingAndWhere() async throws {
        let stack = try await FaultStack.ready()
        for number in 0..<20 {
            var visitor = CountingVisitor(stack.client())
            #expect(await visitor.write("\(number)").outcome == "new")
        }
        let clean = try await Self.run(["verify"], stack)
        #expect(clean.exit == .status(0), "\(clean.errors)")
        #expect(clean.last == "verified 20 sessions: 20 complete" && clean.errors == "")
        #expect(stack.memcacheds.reduce(0) { $0 + clean.counts($1)[0] } == 40)

        let raw = RawMemcached(memcached: stack.memcacheds[0])
        let keys = try raw.keys()
        let key = try #require(keys.first)
        _ = try stack.memcacheds[0].command("md \(key)")
        let one = try await Self.run(["verify", "--list"], stack)
        #expect(one.exit == .status(1))
        #expect(one.output.hasPrefix("missing,\(stack.memcacheds[0].name),\(key)\nserver "))
        #expect(one.last == "verified 20 sessions: 19 complete, 1 with fewer than 2 copies")
        #expect(one.counts(stack.memcacheds[0])[1] == 1)

        // The gateway is at work meanwhile.
        let repaired = try await Self.run(["repair"], stack)
        #expect(repaired.exit == .status(0), "\(repaired.errors)")
        #expect(repaired.last.hasPrefix("repaired 20 sessions: 19 were in order, 1 written anew, in "))
        let again = try await Self.run(["verify"], stack)
        #expect(again.last == clean.last)

        stack.memcacheds[1].kill()
        let down = try await Self.run(["verify", "--sample", "15"], stack)
        #expect(down.exit == .status(2) && down.output.contains("\(stack.memcacheds[1].name)  unreachable"))
    }

    @Test func aPoolWithoutAGatewayIsRefilled() async throws {
        let stack = try await FaultStack.ready()
        for number in 0..<20 {
            var visitor = CountingVisitor(stack.client())
            #expect(await visitor.write("\(number)").outcome == "new")
        }
        #expect(try await stack.gateway.stop() == .status(0))
        try await stack.memcacheds[2].restart()
        let before = try await Self.run(["verify"], stack)
        #expect(before.exit == .status(1) && before.output.contains("\(stack.memcacheds[2].name)  incomplete"))
        let repaired = try await Self.run(["repair", "--rate", "5"], stack)
        #expect(repaired.exit == .status(0) && repaired.output.contains("\(stack.memcacheds[2].name)  refilled"))
        // Not a terminal: whole lines.
        #expect(repaired.errors == "" || repaired.errors.contains(/^[0-9]+ %  repaired [0-9]+ sessions, [0-9]+\/s\n/))
        let after = try await Self.run(["verify"], stack)
        #expect(after.exit == .status(0) && after.last == "verified 20 sessions: 20 complete")
    }

    @Test(arguments: [
        (["verify", "--sample", "0"], "--sample is a number"),
        (["repair", "--rate=-1"], "--rate is a number"),
        (["verify", "--site", "shop"], "there is no site 'shop'"),
    ]) func whatCannotBeIsRefused(arguments: [String], reason: String) async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write(
            "gateway.yaml",
            "listen: unix:/tmp/unused.sock\nsites:\n  default:\n    servers: [127.0.0.1:1]\n    backend: {cgi: /tmp}\n"
        )
        let result = try await Self.run(arguments, file: file)
        #expect(result.exit == .status(64) && result.errors.contains(reason), "\(result.errors)")
        let wrong = try await Self.run(["verify"], file: "/nowhere.yaml")
        #expect(wrong.exit == .status(1))
    }

    private static func run(_ arguments: [String], _ stack: FaultStack) async throws -> ProgramRun {
        try await Self.run(arguments + ["--site", "default"], file: stack.gateway.directory.path("gateway.yaml"))
    }

    private static func run(_ arguments: [String], file: String) async throws -> ProgramRun {
        try await ProgramRun(arguments + ["--config", file])
    }
}

extension ProgramRun {
    /// A server's numbers: copies, missing, older, corrupt, leftover, misplaced.
    fileprivate func counts(_ server: MemcachedProcess) -> [Int] {
        let line = self.lines.first { $0.hasPrefix(server.name) } ?? ""
        return line.split(separator: " ").dropFirst(2).compactMap { Int($0) }
    }
}
