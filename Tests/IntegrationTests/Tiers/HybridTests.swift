import Foundation
import GatewayTesting
import Testing

/// Memcached with a database behind it, all real: what visitors see while parts of it die.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct HybridTests {
    private static func site(_ parts: GatewayStack.Parts, _ database: String, _ more: String = "") -> String {
        """
        sites:
          default:
            \(parts.store)
            database:
              url: "\(database)"
              statement_timeout: 2s
              connect_timeout: 1s
              sync_interval: 60s
              reap_interval: 1s
              session_log: \(parts.pages).ended
            \(more)
            \(parts.fastCGI(connections: 4))
        """
    }

    private static func restartMemcacheds(_ stack: GatewayStack) async throws {
        for memcached in stack.parts.memcacheds { memcached.kill() }
        for memcached in stack.parts.memcacheds { try await memcached.start() }
    }

    private static func visitors(_ count: Int, _ stack: GatewayStack, _ more: String = "") async throws -> [Visitor] {
        var visitors: [Visitor] = []
        for number in 0..<count {
            var visitor = Visitor(stack: stack)
            #expect(try await visitor.view("/page.php?set=\(number)\(more)").outcome == "new")
            visitors.append(visitor)
        }
        return visitors
    }

    @Test func nobodyIsLoggedOutWhenAllMemcachedsRestart() async throws {
        let stack = try await GatewayStack(.init { Self.site($0, "sqlite:\($0.pages).sqlite") })
        var visitors = try await Self.visitors(12, stack)
        var gone = visitors.removeLast()
        let late = gone
        #expect(try await gone.view("/page.php?control=destroy").outcome == "destroyed")
        for round in 0..<2 {
            // Behind the responses.
            try await Task.sleep(for: .seconds(1))
            try await Self.restartMemcacheds(stack)
            for index in visitors.indices {
                let view = try await visitors[index].view("/page.php?set=\(round)-\(index)")
                #expect(view.state == "live")
                #expect(view.text == (round == 0 ? "\(index)" : "\(round - 1)-\(index)"))
                #expect(["saved", "degraded"].contains(view.outcome), "\(view.outcome)")
            }
            var late = late
            #expect(try await late.view().state == "new")
            try await Eventually.holds(within: .seconds(40), "the servers to be complete: \(stack.gateway.log)") {
                try await visitors[0].view().outcome == "loaded"
            }
        }
    }

    @Test func whatIsDurableOutlivesTheGatewayAndAllMemcacheds() async throws {
        let stack = try await GatewayStack(.init { Self.site($0, "sqlite:\($0.pages).sqlite") })
        var (durable, plain, gone) = (Visitor(stack: stack), Visitor(stack: stack), Visitor(stack: stack))
        for visitor in [0, 1, 2] {
            switch visitor {
            case 0: _ = try await durable.view("/page.php?set=first")
            case 1: _ = try await plain.view("/page.php?set=first")
            default: _ = try await gone.view("/page.php?set=first")
            }
        }
        try await Task.sleep(for: .seconds(1))
        // Also where the state itself was saved before.
        #expect(try await durable.view("/page.php?set=second").outcome == "saved")
        #expect(try await durable.view("/page.php?control=durable").outcome == "saved")
        #expect(try await plain.view("/page.php?set=second").outcome == "saved")
        var late = gone
        #expect(try await gone.view("/page.php?control=destroy").outcome == "destroyed")
        // The row learns that it is old.
        try await Task.sleep(for: .seconds(1))
        stack.gateway.kill()
        try await Self.restartMemcacheds(stack)
        try await stack.gateway.start()
        try await Eventually.holds(within: .seconds(40), "an answer: \(stack.gateway.log)") {
            try await durable.get("/page.php").status == 200
        }
        let kept = try await durable.view()
        #expect(kept.text == "second" && ["loaded", "degraded"].contains(kept.outcome), "\(kept.outcome)")
        // As long as memcached cannot be asked nobody knows what is lost: until then it is `degraded`.
        try await Eventually.holds(within: .seconds(40), "the servers to be complete: \(stack.gateway.log)") {
            try await durable.view().outcome == "loaded"
        }
        let reverted = try await plain.view()
        #expect(reverted.text == "first" && reverted.outcome == "reverted", "\(reverted.outcome)")
        #expect(try await plain.view().outcome != "reverted")
        #expect(try await late.view().state == "new")
    }

    @Test func aSaveWithoutMemcachedSaysWhatItLeavesBehind() async throws {
        let stack = try await GatewayStack(.init { Self.site($0, "sqlite:\($0.pages).sqlite") })
        var visitor = Visitor(stack: stack)
        _ = try await visitor.view("/page.php?set=first")
        try await Task.sleep(for: .seconds(1))
        #expect(try await visitor.view("/page.php?set=second").outcome == "saved")
        // The row learns that it is old.
        try await Task.sleep(for: .seconds(1))
        stack.gateway.kill()
        for memcached in stack.parts.memcacheds { memcached.kill() }
        try await stack.gateway.start()
        try await Eventually.holds(within: .seconds(40), "an answer: \(stack.gateway.log)") {
            try await visitor.get("/page.php").status == 200
        }
        let old = try await visitor.view()
        #expect(old.text == "first" && old.outcome == "degraded", "\(old.outcome)")
        #expect(try await visitor.view("/page.php?set=third").outcome == "reverted")
        let new = try await visitor.view("/page.php?set=fourth")
        #expect(new.text == "third" && new.outcome == "degraded", "\(new.outcome)")
    }

    @Test(arguments: ["postgresql", "mariadb"])
    func aDatabaseThatIsKilledFailsNoRequest(_ kind: String) async throws {
        let server: any DatabaseServerProcess =
            if kind == "postgresql" { try await PostgreSQLProcess() } else { try await MariaDBProcess() }
        let url = try await server.createDatabase("sessions")
        let stack = try await GatewayStack(.init { Self.site($0, url) })
        var visitors = try await Self.visitors(6, stack)
        for round in 0..<3 {
            if round == 1 { try await server.kill() }
            if round == 2 { try await server.start() }
            for index in visitors.indices {
                let view = try await visitors[index].view("/page.php?set=\(round)-\(index)")
                #expect(view.outcome == "saved", "\(view.outcome)")
            }
        }
        // Everything that waited is there at the end.
        #expect(try await stack.gateway.stop() == .status(0))
        let count = try await server.execute("SELECT COUNT(*) FROM session_gateway_sessions", in: "sessions")
        #expect(count.trimmingCharacters(in: .whitespacesAndNewlines) == "6")
        try await Self.restartMemcacheds(stack)
        try await stack.gateway.start()
        for index in visitors.indices {
            try await Eventually.holds(within: .seconds(40), "an answer: \(stack.gateway.log)") {
                try await visitors[index].get("/page.php").status == 200
            }
            #expect(try await visitors[index].view().text == "2-\(index)")
        }
        try await server.kill()
    }

    @Test func aMadeUpIDCostsNoStoreAnything() async throws {
        let stack = try await GatewayStack(
            .init {
                Self.site(
                    $0,
                    "sqlite:\($0.pages).sqlite",
                    "id_secrets: [\"a secret of sixteen\", \"an older one of them\"]"
                )
            }
        )
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=one").outcome == "new")
        #expect(try await visitor.view().text == "one")
        // Loads touch a session, or miss it; gateways ask for the servers' state beside them.
        func gets() throws -> Int {
            try stack.parts.memcacheds.reduce(0) { sum, memcached in
                let statistics = try memcached.statistics()
                return ["cmd_touch", "get_misses", "touch_misses"].reduce(sum) { $0 + (Int(statistics[$1] ?? "") ?? 0) }
            }
        }
        let id = try #require(visitor.jar.header).split(separator: "=")[1]
        let before = try gets()
        for number in 10..<40 {
            // The right length, and one character wrong.
            let forged = "session=" + id.dropLast(2) + "\(number)"
            if forged == "session=" + id { continue }
            let response = try await stack.client.send(HTTPRequest("GET", "/page.php", headers: [("Cookie", forged)]))
            #expect(response.status == 200 && response.outcome == "unchanged")
        }
        // The gateway asks its servers now and then by itself.
        #expect(try gets() - before < 20)
        #expect(try await visitor.view().text == "one")
    }

    @Test func aMadeUpIDCostsTheDatabaseNothing() async throws {
        let server = try await PostgreSQLProcess(settings: ["log_statement=all"])
        let url = try await server.createDatabase("sessions")
        let secrets = "id_secrets: [\"a secret of sixteen\"]"
        let stack = try await GatewayStack(.init { Self.site($0, url, secrets) })
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=one&control=durable").outcome == "new")
        // By a session's key, as whoever looks one up asks.
        func statements() -> Int { server.log.split(separator: "\n").count { $0.contains("WHERE session_key = $1") } }
        func inserts() -> Int { server.log.split(separator: "\n").count { $0.contains("INSERT INTO session_gateway") } }
        try await Eventually.holds("the row") { inserts() > 0 }
        let id = try #require(visitor.jar.header).split(separator: "=")[1]
        let before = statements()
        for number in 10..<40 where !id.hasSuffix("\(number)") {
            let cookie = "session=" + id.dropLast(2) + "\(number)"
            let response = try await stack.client.send(HTTPRequest("GET", "/page.php", headers: [("Cookie", cookie)]))
            #expect(response.status == 200 && response.outcome == "unchanged")
        }
        #expect(statements() == before)
        // What is looked up is seen there.
        try await Self.restartMemcacheds(stack)
        try await Eventually.holds(within: .seconds(40), "the session: \(stack.gateway.log)") {
            try await visitor.view().text == "one"
        }
        try await Eventually.holds("the statement") { statements() > before }
        try await server.kill()
    }

    @Test func whatHasExpiredIsReaped() async throws {
        let stack = try await GatewayStack(
            .init { Self.site($0, "sqlite:\($0.pages).sqlite", "idle_lifetime: 2s") }
        )
        var visitor = Visitor(stack: stack)
        #expect(try await visitor.view("/page.php?set=one").outcome == "new")
        try await Eventually.holds(within: .seconds(30), "the session to be reaped: \(stack.gateway.log)") {
            stack.read("../pages.ended").contains("\"site\":\"default\"")
        }
        #expect(try await visitor.view().state == "new")
    }
}
