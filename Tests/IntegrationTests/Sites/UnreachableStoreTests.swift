import GatewayTesting
import Testing

/// All servers of the store are away.
@Suite(
    .serialized,
    .gatewayStack(
        GatewayStack.Plan(stores: ["default", "open"]) { parts in
            let servers = parts.memcacheds.map(\.name).joined(separator: ", ")
            return """
                sites:
                  default:
                    servers: [\(servers)]
                    \(parts.fastCGI(connections: 2))
                  open:
                    servers: [\(servers)]
                    when_unavailable: anonymous
                    \(parts.fastCGI(connections: 2))
                """
        }
    )
)
struct UnreachableStoreTests {
    /// `load_timeout` is 250 ms; the rest is what a busy machine may take.
    private static let patience = Duration.seconds(2)

    private func expectUnavailable(_ known: Visitor, _ stranger: Visitor) async throws {
        for visitor in [known, stranger] {
            var visitor = visitor
            let begun = ContinuousClock.now
            let response = try await visitor.get("/page.php?set=lost")
            #expect(.now - begun < Self.patience)
            #expect(response.status == 503)
            #expect(response.header("Retry-After") == "1")
            #expect(response.outcome == "unavailable")
            #expect(response.headers("Set-Cookie").isEmpty)
        }
        // Who has no session needs no store.
        var newcomer = try Visitor()
        let served = try await newcomer.view()
        #expect(served.state == "new")
        #expect(served.outcome == "unchanged")
        try await self.expectNothingIsPromised(newcomer)
    }

    /// What a newcomer's page would store is not kept, and no cookie says so.
    private func expectNothingIsPromised(_ newcomer: Visitor) async throws {
        var newcomer = newcomer
        let page = try await newcomer.view("/page.php?set=lost")
        #expect(["unavailable", "unknown"].contains(page.outcome), "\(page.outcome)")
        #expect(newcomer.jar.header == nil)
    }

    private func expectAnonymous(_ known: Visitor) async throws {
        var visitor = known
        let begun = ContinuousClock.now
        let anonymous = try await visitor.view("/page.php?set=lost")
        #expect(.now - begun < Self.patience)
        #expect(anonymous.state == "anonymous")
        #expect(anonymous.outcome == "unavailable")
        #expect(anonymous.text.isEmpty)
        #expect(anonymous.cookies.isEmpty)
        #expect(anonymous.response.headers("Set-Cookie").isEmpty)
        // Who signs out is not told that it was done.
        let signOut = try await visitor.get("/page.php?control=destroy")
        #expect(signOut.status == 503)
        #expect(signOut.outcome == "unavailable")
        try await self.expectNothingIsPromised(try Visitor(site: "open"))
    }

    @Test func withFrozenServersVisitorsAreServedOrToldInTimeAndFindTheirSessionsAgain() async throws {
        var known = try Visitor()
        _ = try await known.view("/page.php?set=known")
        var open = try Visitor(site: "open")
        _ = try await open.view("/page.php?set=open")
        var stranger = try Visitor()
        stranger.jar["session"] = "Qm9vdHN0cmFwLXNlc3Npb24x"
        let memcacheds = known.stack.parts.memcacheds

        for memcached in memcacheds { try memcached.freeze() }
        try await self.expectUnavailable(known, stranger)
        try await self.expectAnonymous(open)
        // Once the servers are known to be away nobody waits for them.
        try await self.expectUnavailable(known, stranger)
        try await self.expectAnonymous(open)

        for memcached in memcacheds { try memcached.thaw() }
        for (visitor, text) in [(known, "known"), (open, "open")] {
            try await Eventually.holds(within: .seconds(30), "the session of \(text)") {
                var visitor = visitor
                let response = try await visitor.get("/page.php")
                guard response.status == 200 else { return false }
                let view = try SessionView(response)
                return view.state == "live" && view.outcome == "loaded" && view.text == text
            }
        }
    }

    @Test func withServersThatAreGoneVisitorsAreServedOrToldInTime() async throws {
        var known = try Visitor()
        _ = try await known.view("/page.php?set=known")
        var open = try Visitor(site: "open")
        _ = try await open.view("/page.php?set=open")
        var stranger = try Visitor()
        stranger.jar["session"] = "Qm9vdHN0cmFwLXNlc3Npb24x"
        let memcacheds = known.stack.parts.memcacheds

        for memcached in memcacheds { memcached.kill() }
        try await self.expectUnavailable(known, stranger)
        try await self.expectAnonymous(open)
        for memcached in memcacheds { try await memcached.start() }
        // What was lost is lost, and the gateway says so as soon as it may.
        try await Eventually.holds(within: .seconds(30), "the store") {
            var visitor = known
            let response = try await visitor.get("/page.php")
            guard response.status == 200 else { return false }
            return try SessionView(response).state == "new"
        }
        var newcomer = try Visitor()
        #expect(try await newcomer.view("/page.php?set=again").outcome == "new")
        #expect(try await newcomer.view().text == "again")
    }
}
