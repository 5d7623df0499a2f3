import Foundation
import GatewayTesting
import Glibc
import Testing

/// `session-gateway reap` beside a gateway that keeps its sessions in a file, run by somebody else.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ReapCommandTests {
    private static func stack() async throws -> GatewayStack {
        let stack = try await GatewayStack(
            .init(memcacheds: 0, stores: []) { parts in
                """
                sites:
                  default:
                    database:
                      session_log: \(parts.pages).ended
                    \(parts.fastCGI(connections: 4))
                """
            }
        )
        // It serves, and so hears signals.
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view().state == "new")
        return stack
    }

    private static func owner(_ path: String) -> uid_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_uid : nil
    }

    @Test func itMakesNoDatabase() async throws {
        let stack = try await Self.stack()
        let state = stack.gateway.directory.path("state")
        #expect(try await stack.gateway.stop() == .status(0))
        try FileManager.default.moveItem(atPath: state, toPath: state + ".away")
        let refused = try await DatabaseSiteTests.run(["reap"], stack.gateway)
        #expect(refused.0 == 1, "\(refused)")
        #expect(refused.1.contains("state/sessions.sqlite: No such file") && refused.1.contains("STATE_DIRECTORY"))
        #expect(!FileManager.default.fileExists(atPath: state))
        try FileManager.default.moveItem(atPath: state + ".away", toPath: state)
        let reaped = try await DatabaseSiteTests.run(["reap"], stack.gateway)
        #expect(reaped.0 == 0 && reaped.1.contains("0 rows were due"), "\(reaped)")
    }

    @Test(.enabled(if: getuid() == 0, "gives files away"))
    func whatRootMakesBelongsToTheGateway() async throws {
        let stack = try await Self.stack()
        let state = stack.gateway.directory.path("state")
        #expect(try await stack.gateway.stop() == .status(0))
        // The log's directory, and the database's with all that is in it, are somebody else's.
        let log = stack.parts.pages + ".ended"
        let nobody: uid_t = 65_534
        try? FileManager.default.removeItem(atPath: log)
        try? FileManager.default.removeItem(atPath: state + "/sessions.sqlite.reaper")
        for path in [URL(filePath: log).deletingLastPathComponent().path, state, state + "/sessions.sqlite"] {
            try #require(chown(path, nobody, nobody) == 0)
        }
        let reaped = try await DatabaseSiteTests.run(["reap"], stack.gateway)
        #expect(reaped.0 == 0, "\(reaped)")
        #expect(Self.owner(state + "/sessions.sqlite.reaper") == nobody)
        #expect(Self.owner(log) == nobody)
        for suffix in ["-wal", "-shm"] {
            #expect([nil, nobody].contains(Self.owner(state + "/sessions.sqlite" + suffix)))
        }
        // What was there already stays whose it was.
        try #require(chown(log, 0, 0) == 0)
        #expect(try await DatabaseSiteTests.run(["reap"], stack.gateway).0 == 0)
        #expect(Self.owner(log) == 0)
    }
}
