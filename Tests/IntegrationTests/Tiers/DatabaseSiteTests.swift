import Foundation
import GatewayTesting
import Glibc
import Testing

/// A site's database while it is set up, changed, full, or all there is.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct DatabaseSiteTests {
    private static func site(_ parts: GatewayStack.Parts, _ database: [String]) -> String {
        """
        sites:
          default:
            \(parts.memcacheds.isEmpty ? "" : parts.store)
            \(database.isEmpty ? "" : (["database:"] + database).joined(separator: "\n      "))
            \(parts.fastCGI(connections: 4))
        """
    }

    /// The program beside the gateway, with the gateway's file.
    static func run(_ arguments: [String], _ gateway: GatewayProcess) async throws -> (Int32?, String) {
        let output = try TemporaryDirectory()
        let process = try ServerProcess(
            Executable.built("session-gateway"),
            arguments + ["--config", gateway.directory.path("gateway.yaml")],
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"],
            output: output.path("output")
        )
        guard case .status(let status) = try await process.waitForEnd() else { return (nil, process.output) }
        return (status, process.output)
    }

    private static func count(_ server: any DatabaseServerProcess, _ database: String) async throws -> Int {
        let text = try await server.execute("SELECT COUNT(*) FROM session_gateway_sessions", in: database)
        return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    }

    @Test func theTablesAreMadeByHandWhereThatIsWanted() async throws {
        let server = try await PostgreSQLProcess()
        let url = try await server.createDatabase("sessions")
        let stack = try await GatewayStack(.init { Self.site($0, []) })
        try stack.gateway.write(Self.site(stack.parts, ["url: \"\(url)\"", "migrate: manual"]))
        #expect(try await stack.gateway.stop() == .status(0))
        let refused = try await Self.run(["run"], stack.gateway)
        #expect(refused.0 == 1 && refused.1.contains("run 'session-gateway database migrate'"), "\(refused)")
        let unmade = try await Self.run(["reap"], stack.gateway)
        #expect(unmade.0 == 1 && unmade.1.contains("run 'session-gateway database migrate'"), "\(unmade)")
        let made = try await Self.run(["database", "migrate"], stack.gateway)
        #expect(made.0 == 0 && made.1.contains("version 0 to 1"), "\(made)")
        let again = try await Self.run(["database", "migrate"], stack.gateway)
        #expect(again.0 == 0 && again.1.contains("version 1, as it was"), "\(again)")
        try await stack.gateway.start()
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=one&control=durable").outcome == "new")
        #expect(try await Self.count(server, "sessions") == 1)
        #expect(try await stack.gateway.stop() == .status(0))

        // Another gateway beside it would have made these.
        try await server.execute("UPDATE session_gateway_schema SET version = 99", in: "sessions")
        let newer = try await Self.run(["database", "migrate"], stack.gateway)
        #expect(newer.0 == 1 && newer.1.contains("newer than the version 1 that this program knows"), "\(newer)")
        let reaped = try await Self.run(["reap"], stack.gateway)
        #expect(reaped.0 == 1 && reaped.1.contains("use the newer session-gateway"), "\(reaped)")
        let start = try await Self.run(["run"], stack.gateway)
        #expect(start.0 == 1 && start.1.contains("use the newer session-gateway"), "\(start)")
        try await server.kill()
    }

    @Test func aServerThatComesLaterGetsItsTablesThen() async throws {
        let server = try await PostgreSQLProcess()
        let url = try await server.createDatabase("sessions")
        try await server.kill()
        let stack = try await GatewayStack(.init { Self.site($0, ["url: \"\(url)\"", "connect_timeout: 1s"]) })
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=one").outcome == "new")
        #expect(!stack.logLines("the database does not answer; sessions are in memcached alone").isEmpty)
        try await server.start()
        try await Eventually.holds(within: .seconds(30), "the row: \(stack.gateway.log)") {
            (try? await Self.count(server, "sessions")) == 1
        }
        #expect(try await visitor.view("/page.php?set=two&control=durable").outcome == "saved")
        try await server.kill()
    }

    @Test func aReloadAddsChangesAndRemovesTheDatabase() async throws {
        let server = try await MariaDBProcess()
        let urls = [try await server.createDatabase("one"), try await server.createDatabase("two")]
        let stack = try await GatewayStack(.init { Self.site($0, []) })
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=0").outcome == "new")
        let asking = Task {
            var failures = 0
            var other = Visitor(stack: stack)
            while !Task.isCancelled {
                if try await other.get("/page.php?set=x").status != 200 { failures += 1 }
            }
            return failures
        }
        for (number, database) in [["url: \"\(urls[0])\""], ["url: \"\(urls[1])\"", "sync_new: true"], []].enumerated()
        {
            try stack.gateway.write(Self.site(stack.parts, database))
            let before = stack.logLines("configuration").count
            try stack.gateway.reload()
            try await Eventually.holds(within: .seconds(20), "the reload: \(stack.gateway.log.suffix(2_000))") {
                stack.logLines("configuration").count > before
            }
            try await Task.sleep(for: .milliseconds(500))
            #expect(try await visitor.view("/page.php?set=\(number + 1)&control=durable").outcome == "saved")
            if number < 2 { #expect(try await Self.count(server, ["one", "two"][number]) >= 1) }
            if number == 1 {
                // With sync_new a session is there before its first answer.
                let there = try await Self.count(server, "two")
                var newcomer = Visitor(stack: stack)
                #expect(try await newcomer.view("/page.php?set=new").outcome == "new")
                #expect(try await Self.count(server, "two") == there + 1)
            }
        }
        asking.cancel()
        #expect(try await asking.value == 0)
        #expect(try await visitor.view().text == "3")
        // What waited went over to the other database, and was written before that was left too.
        #expect(stack.logLines("database", "reads=", "lag_ms=").count == 1)
        try await server.kill()
    }

    @Test(arguments: ["postgresql", "mariadb"])
    func aDatabaseAloneIsAStoreForSeveralGateways(_ kind: String) async throws {
        let server: any DatabaseServerProcess =
            if kind == "postgresql" { try await PostgreSQLProcess() } else { try await MariaDBProcess() }
        let url = try await server.createDatabase("sessions")
        let stack = try await GatewayStack(
            .init(memcacheds: 0, stores: []) { Self.site($0, ["url: \"\(url)\""]) }
        )
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=one").outcome == "new")
        var twin = visitor
        #expect(try await visitor.view("/page.php?set=two").outcome == "saved")
        try await stack.gateway.restart()
        #expect(try await twin.view().text == "two")
        #expect(try await visitor.view("/page.php?set=three&control=regenerate").outcome == "moved")
        #expect(try await twin.view().state == "new")
        #expect(try await visitor.view("/page.php?control=destroy").outcome == "destroyed")
        #expect(try await visitor.view().state == "new")
        try await server.kill()
        #expect(try await twin.get("/page.php").status == 503)
    }

    @Test(.enabled(if: getuid() == 0, "mounts a small tmpfs"))
    func aFullDiskAndAReadOnlyFileFailNoRequest() async throws {
        let directory = try TemporaryDirectory()
        let small = directory.path("small")
        try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
        try #require(mount("tmpfs", small, "tmpfs", 0, "size=1m") == 0)
        defer { umount2(small, Int32(MNT_DETACH)) }
        let path = "\(small)/sessions.sqlite"
        let stack = try await GatewayStack(.init { Self.site($0, ["url: \"sqlite:\(path)\"", "sync_new: true"]) })
        var visitors: [Visitor] = []
        for _ in 0..<60 {
            var visitor = Visitor(stack: stack)
            #expect(try await visitor.view("/page.php?pattern=30000").outcome == "new")
            visitors.append(visitor)
        }
        #expect(!stack.logLines("the database does not answer", "disk is full").isEmpty, "\(stack.gateway.log)")
        for index in visitors.indices { #expect(try await visitors[index].view().data.count == 30_000) }
        let large = try await visitors[59].view("/page.php?pattern=60000&control=durable")
        #expect(large.outcome == "degraded", "\(large.outcome)")

        // The same file, where nobody may write.
        stack.gateway.kill()
        try #require(mount("tmpfs", small, "tmpfs", UInt(MS_REMOUNT) | UInt(MS_RDONLY), "size=1m") == 0)
        try await stack.gateway.start()
        #expect(try await visitors[0].view("/page.php?set=y&control=durable").outcome == "degraded")
        #expect(try await visitors[0].view("/page.php?set=z").outcome == "saved")
        #expect(stack.gateway.logSinceStart.contains("the database does not answer"), "\(stack.gateway.logSinceStart)")
        stack.gateway.kill()
        try #require(mount("tmpfs", small, "tmpfs", UInt(MS_REMOUNT), "size=8m") == 0)
        try await stack.gateway.start()
        #expect(try await visitors[0].view("/page.php?set=y&control=durable").outcome == "saved")
        #expect(try await stack.gateway.stop() == .status(0))
        let check = try ServerProcess(
            Executable.find("sqlite3", package: "sqlite3"),
            [path, "PRAGMA integrity_check"],
            output: directory.path("check")
        )
        _ = try await check.waitForEnd()
        #expect(check.output == "ok\n")
    }

    @Test func theFiguresAreInTheLogAtTheEnd() async throws {
        let stack = try await GatewayStack(
            .init {
                Self.site(
                    $0,
                    ["url: \"sqlite:\($0.pages).sqlite\"", "sync_interval: 1s", "reap_after: 1s", "reap_interval: 1s"]
                )
            }
        )
        var visitor = Visitor(stack: stack)
        for number in 0..<5 { _ = try await visitor.view("/page.php?set=\(number)") }
        try await stack.awaitLogLine("the reaper has passed")
        let reaped = try await Self.run(["reap"], stack.gateway)
        #expect(reaped.0 == 0, "\(reaped)")
        #expect(try await stack.gateway.stop() == .status(0))
        let line = try #require(stack.logLines("database", "avoided_writes=").last)
        for figure in [
            "reads=", "writes=", "avoided_reads=", "avoided_writes=", "failures=0", "waiting=0", "lag_ms=0", "reaped=",
            "reaped_ago_s=",
        ] { #expect(line.contains(figure), "\(figure) in \(line)") }
    }
}
