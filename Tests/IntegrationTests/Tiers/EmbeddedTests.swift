import GatewayTesting
import Glibc
import Testing

/// A site without servers: its sessions are in a file in the state directory.
@Suite(
    .serialized,
    .gatewayStack(
        GatewayStack.Plan(memcacheds: 0, stores: []) { parts in
            """
            sites:
              default:
                \(parts.fastCGI(connections: 4))
            """
        }
    )
)
struct EmbeddedTests {
    private static func file(_ stack: GatewayStack) -> String { stack.gateway.directory.path("state/sessions.sqlite") }

    @Test func aSessionLivesAsItDoesInMemcached() async throws {
        var visitor = try Visitor()
        #expect(try await visitor.view().outcome == "unchanged")
        let created = try await visitor.view("/page.php?set=one")
        #expect(created.outcome == "new")
        var twin = visitor
        #expect(try await visitor.view().text == "one")
        #expect(try await visitor.view("/page.php?set=one").outcome == "unchanged")
        #expect(try await visitor.view("/page.php?set=two").outcome == "saved")
        #expect(try await twin.view().text == "two")
        let moved = try await visitor.view("/page.php?set=three&control=regenerate")
        #expect(moved.outcome == "moved")
        #expect(try await visitor.view().text == "three")
        #expect(try await twin.view().state == "new")
        var other = visitor
        #expect(try await visitor.view("/page.php?control=destroy").outcome == "destroyed")
        #expect(try await other.view().state == "new")
    }

    @Test func whatWasAcknowledgedOutlivesAKilledGateway() async throws {
        let stack = try GatewayStack.current
        var visitors: [Visitor] = []
        for number in 0..<10 {
            var visitor = try Visitor()
            #expect(try await visitor.view("/page.php?set=\(number)").outcome == "new")
            visitors.append(visitor)
        }
        var gone = visitors.removeLast()
        var late = gone
        #expect(try await gone.view("/page.php?control=destroy").outcome == "destroyed")
        for round in 1...3 {
            try await stack.gateway.restart()
            for index in visitors.indices {
                let view = try await visitors[index].view("/page.php?set=\(round)-\(index)")
                #expect(view.text == (round == 1 ? "\(index)" : "\(round - 1)-\(index)"))
                #expect(view.outcome == "saved")
            }
            #expect(try await late.view().state == "new")
        }
    }

    @Test func theFileIsForTheGatewayAlone() async throws {
        let stack = try GatewayStack.current
        for suffix in ["", "-wal"] {
            var status = stat()
            #expect(stat(Self.file(stack) + suffix, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
        #expect(!stack.logLines("sessions are kept in a database", Self.file(stack)).isEmpty)
    }
}
