import GatewayTesting
import Memcached
import Sessions
import Testing

@testable import Store

/// With real memcacheds: whatever becomes of the servers of a pool, every session is still read.
@Suite(.serialized) struct RingChangeTests {
    /// What becomes of the servers A, B and C, and of D and E that come.
    enum Change: String, CaseIterable, CustomTestStringConvertible {
        case firstAdded, lastAdded, firstRemoved, secondRemoved, thirdRemoved, replaced, reweighted
        case twoAdded, twoRemoved, allReplaced

        var testDescription: String { self.rawValue }

        func lists(_ names: [RingServer]) -> (before: [RingServer], after: [RingServer]) {
            let (a, b, c, d, e) = (names[0], names[1], names[2], names[3], names[4])
            return switch self {
            case .firstAdded: ([a, b, c], [d, a, b, c])
            case .lastAdded: ([a, b, c], [a, b, c, d])
            case .firstRemoved: ([a, b, c, d], [b, c, d])
            case .secondRemoved: ([a, b, c, d], [a, c, d])
            case .thirdRemoved: ([a, b, c, d], [a, b, d])
            case .replaced: ([a, b, c], [a, d, c])
            case .reweighted: ([a, b, c, d], [RingServer(host: a.host, port: a.port, weight: 5), b, c, d])
            case .twoAdded: ([a, b, c], [a, b, c, d, e])
            case .twoRemoved: ([a, b, c, d, e], [a, b, c])
            case .allReplaced: ([a, b], [c, d, e])
            }
        }
    }

    private static func withServers(
        _ body: ([MemcachedProcess], [RingServer]) async throws -> Void
    ) async throws {
        var servers: [MemcachedProcess] = []
        for _ in 0..<5 { servers.append(try await MemcachedProcess()) }
        defer { for server in servers { server.kill() } }
        try await body(servers, servers.map { RingServer(host: "127.0.0.1", port: $0.port) })
    }

    private static let sessions = 60

    @Test(.timeLimit(.minutes(3)), arguments: Change.allCases)
    func everySessionIsReadWhileAndAfterTheServersChange(_ change: Change) async throws {
        try await Self.withServers { _, names in
            let (before, after) = change.lists(names)
            let first = try await GatewayModel.start(GatewayModel.configuration(before))
            try await first.waitUntilInForce(before)
            let keys = await first.createMany(Self.sessions)
            let (counter, otherCounter, shared) =
                (await first.create("0").key, await first.create("0").key, await first.create("0").key)
            // The other gateway first, then the first one anew: a session is counted up through both all the time.
            let previous = try await GatewayModel.start(GatewayModel.configuration(before))
            try await previous.waitUntilInForce(before)
            var changed = GatewayModel.configuration(after)
            changed.previousRing = GatewayModel.configuration(before).ringDescription
            let isOver = Flag()
            async let counted = first.count(counter, until: isOver)
            async let shares = first.count(shared, until: isOver)
            await previous.end()
            let second = try await GatewayModel.start(changed)
            try await second.waitUntilInForce(before)
            async let countedToo = second.count(otherCounter, until: isOver)
            async let sharesToo = second.count(shared, until: isOver)
            // As long as the first gateway is configured with other servers nothing changes.
            #expect(await second.misread(keys) { "\($0)" } == [])
            #expect(await second.state.stage == first.state.stage)
            let third = try await GatewayModel.start(changed, isWalker: false)
            await first.stopKeeping()
            while case let stage = await second.state.stage, stage != .stable(changed.ringDescription) {
                // At every stage, through a gateway of the old configuration and one of the new.
                #expect(await second.misread(keys) { "\($0)" } == [])
                #expect(await first.misread(keys) { "\($0)" } == [])
            }
            try await second.waitUntilInForce(after)
            try await first.waitUntilInForce(after)
            isOver.set()
            let (one, two) = (await counted, await countedToo)
            #expect(one.failures == [])
            #expect(two.failures == [])
            #expect(one.saved > 0)
            #expect(two.saved > 0)
            #expect(await second.text(counter) == "\(one.saved)")
            #expect(await second.text(otherCounter) == "\(two.saved)")
            // Of two that save from one version one is acknowledged; that of a third one is not always known.
            let (three, four) = (await shares, await sharesToo)
            let acknowledged = three.saved + four.saved
            let text = await second.text(shared)
            #expect(
                (acknowledged...acknowledged + three.failures.count + four.failures.count).contains(Int(text) ?? -1)
            )
            await first.end()
            #expect(await third.misread(keys) { "\($0)" } == [])
            await second.end()
            await third.end()
        }
    }
}
