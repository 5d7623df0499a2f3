import GatewayTesting
import Testing

/// Two gateways save one session in turn. One of them dies with what the other one does not know, and then all memcacheds do.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct RivalGatewayTests {
    private static let interval = 2

    private static func stack(_ directory: TemporaryDirectory) async throws -> FaultStack {
        try await FaultStack.ready {
            $0.gateways = 2
            $0.site = [
                "database:", "  url: \"sqlite:\(directory.path("sessions.sqlite"))\"",
                "  sync_interval: \(Self.interval)s",
            ]
        }
    }

    /// - Returns: a visitor with three saves, the second and the last of which gateway 1 has taken.
    private static func visitor(_ stack: FaultStack) async -> CountingVisitor {
        var visitor = CountingVisitor(stack.client())
        for (save, gateway) in [0, 1, 0, 1].enumerated() {
            let visit = await visitor.write("\(save)", through: stack.client(gateway))
            #expect(visit.isAcknowledged, "\(visit.outcome)")
        }
        return visitor
    }

    private static func loseMemcached(_ stack: FaultStack) async throws {
        for memcached in stack.memcacheds { memcached.kill() }
        for memcached in stack.memcacheds { try await memcached.start() }
    }

    private static let untilItIsWritten = Duration.seconds(Self.interval + 1)
    /// Another interval later memcached is asked whether anybody has saved more.
    private static let untilItIsConfirmed = Duration.seconds(2 * Self.interval + 1)

    @Test(arguments: [0, 1])
    func whatADeadGatewayHadSavedIsNotLostWithoutAWord(askedAt gateway: Int) async throws {
        let directory = try TemporaryDirectory()
        let stack = try await Self.stack(directory)
        var visitor = await Self.visitor(stack)
        stack.gateways[1].kill()
        try await Self.loseMemcached(stack)
        // Gateway 0 writes its own state, which is not the newest.
        try await Task.sleep(for: Self.untilItIsWritten)
        try await stack.gateways[1].start()
        try await stack.waitUntilComplete()
        let visit = await visitor.read(through: stack.client(gateway))
        #expect(visit.outcome == "reverted" && visit.seen?.count == 3)
        // Once.
        for gateway in 0..<2 {
            let later = await visitor.read(through: stack.client(gateway))
            #expect(later.outcome != "reverted" && later.seen?.count == 3)
        }
    }

    @Test func ofWhatMemcachedHasNothingIsSaid() async throws {
        let directory = try TemporaryDirectory()
        let stack = try await Self.stack(directory)
        var visitor = await Self.visitor(stack)
        try await Task.sleep(for: Self.untilItIsConfirmed)
        try await Self.loseMemcached(stack)
        try await stack.waitUntilComplete()
        let visit = await visitor.read(through: stack.client(0))
        #expect(visit.outcome != "reverted" && visit.seen?.count == 4, "\(visit.outcome)")
    }

    /// The row of the gateway that lives says that it is old, once memcached has said so.
    @Test func theRowHearsOfWhatADeadGatewayHadSaved() async throws {
        let directory = try TemporaryDirectory()
        let stack = try await Self.stack(directory)
        var visitor = await Self.visitor(stack)
        stack.gateways[1].kill()
        try await Task.sleep(for: Self.untilItIsWritten)
        stack.gateways[0].kill()
        try await Self.loseMemcached(stack)
        for gateway in stack.gateways { try await gateway.start() }
        try await stack.waitUntilComplete()
        let visit = await visitor.read(through: stack.client(1))
        #expect(visit.outcome == "reverted" && visit.seen?.count == 3)
    }
}
