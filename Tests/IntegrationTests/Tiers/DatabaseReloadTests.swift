import Foundation
import GatewayTesting
import Testing

/// A running site's database is added, or away, while the configuration is read anew.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct DatabaseReloadTests {
    private static func site(_ parts: GatewayStack.Parts, _ url: String?, syncInterval: String = "1s") -> String {
        let database = url.map { url in
            """
            database:
                  url: "\(url)"
                  sync_interval: \(syncInterval)
                  connect_timeout: 1s
            """
        }
        return """
            sites:
              default:
                \(parts.store)
                idle_lifetime: 96s
                \(database ?? "")
                \(parts.fastCGI(connections: 4))
            """
    }

    private static func reload(_ stack: GatewayStack, _ configuration: String) async throws {
        let words = "the configuration has been read anew and is in force"
        let before = stack.logLines(words).count
        try stack.gateway.write(configuration)
        try stack.gateway.reload()
        try await Eventually.holds(within: .seconds(30), "the reload: \(stack.gateway.log.suffix(2_000))") {
            stack.logLines(words).count > before
        }
    }

    private static func count(_ server: any DatabaseServerProcess) async throws -> Int {
        let text = try await server.execute("SELECT COUNT(*) FROM session_gateway_sessions", in: "sessions")
        return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    }

    private static func visitors(_ count: Int, _ stack: GatewayStack) async throws -> [Visitor] {
        var visitors: [Visitor] = []
        for number in 0..<count {
            var visitor = Visitor(stack: stack)
            #expect(try await visitor.view("/page.php?set=\(number)").outcome == "new")
            visitors.append(visitor)
        }
        return visitors
    }

    @Test func sessionsFromBeforeTheDatabaseOutliveAllMemcacheds() async throws {
        let server = try await PostgreSQLProcess()
        let url = try await server.createDatabase("sessions")
        let stack = try await GatewayStack(.init { Self.site($0, nil) })
        var visitors = try await Self.visitors(5, stack)
        var gone = visitors.removeLast()
        var late = gone
        try await Self.reload(stack, Self.site(stack.parts, url))
        // They only read; one signs out.
        for index in visitors.indices { #expect(try await visitors[index].view().outcome == "loaded") }
        #expect(try await gone.view("/page.php?control=destroy").outcome == "destroyed")
        try await Eventually.holds(within: .seconds(40), "the rows: \(stack.gateway.log.suffix(2_000))") {
            try await Self.count(server) == 5
        }
        for memcached in stack.parts.memcacheds { memcached.kill() }
        for memcached in stack.parts.memcacheds { try await memcached.start() }
        for index in visitors.indices {
            let view = try await visitors[index].view()
            #expect(view.state == "live" && view.text == "\(index)")
        }
        #expect(try await late.view().state == "new")
        try await server.kill()
    }

    @Test func whatWaitsForADatabaseThatIsAwayOutlivesAReload() async throws {
        let server = try await PostgreSQLProcess()
        let url = try await server.createDatabase("sessions")
        let stack = try await GatewayStack(.init { Self.site($0, url, syncInterval: "60s") })
        var visitors = try await Self.visitors(3, stack)
        try await Eventually.holds("the rows") { try await Self.count(server) == 3 }
        try await server.kill()
        visitors += try await Self.visitors(3, stack)
        var gone = visitors.removeFirst()
        #expect(try await gone.view("/page.php?control=destroy").outcome == "destroyed")
        try await Self.reload(stack, Self.site(stack.parts, url, syncInterval: "50s"))
        // The patience of what has ended is over.
        try await Task.sleep(for: .seconds(8))
        try await server.start()
        try await Eventually.holds(within: .seconds(30), "the rows: \(stack.gateway.log.suffix(2_000))") {
            let ended = try await server.execute(
                "SELECT COUNT(*) FROM session_gateway_sessions WHERE tombstone = 1",
                in: "sessions"
            )
            return try await Self.count(server) == 6 && ended.contains("1")
        }
        for index in visitors.indices { #expect(try await visitors[index].view().state == "live") }
        try await server.kill()
    }
}
