import Glibc
import Testing

@testable import Sessions

/// The very code that runs over sockets, under faults that no network has at once. The seeds are fixed: a failing one
/// tells its number.
struct RandomHistoryTests {
    /// More for a long run by hand: `SESSION_GATEWAY_HISTORIES=100000 swift test --filter RandomHistoryTests`.
    private static let histories = getenv("SESSION_GATEWAY_HISTORIES").flatMap { Int(String(cString: $0)) } ?? 3_000

    @Test(arguments: [
        RandomHistory.Profile(redundancy: 2, servers: 3),
        RandomHistory.Profile(redundancy: 2, servers: 2),
        RandomHistory.Profile(redundancy: 3, servers: 5),
        RandomHistory.Profile(redundancy: 3, servers: 4),
        RandomHistory.Profile(redundancy: 1, servers: 1),
        RandomHistory.Profile(redundancy: 2, servers: 3, isDegradedServed: true),
        RandomHistory.Profile(redundancy: 2, servers: 2, isDegradedServed: true),
    ])
    func everyPromiseIsKept(profile: RandomHistory.Profile) {
        let figures = RandomHistory.run(profile, count: Self.histories, steps: 60)
        #expect(figures.violations.isEmpty, "\(figures.violations.prefix(3))")
        // Something has happened.
        #expect(figures.acknowledged > Self.histories)
        #expect(figures.loads > Self.histories)
        #expect(figures.discarded > 0 && figures.unknown > 0)
        #expect(profile.redundancy == 1 || figures.crashes > Self.histories / 10)
        if getenv("SESSION_GATEWAY_HISTORIES") != nil { print("\(profile):", figures) }
    }

    /// A checker that finds nothing proves nothing: the same histories, with one thing done wrong.
    @Test(arguments: Mistake.allCases.filter { $0 != .noSettle })
    func everyMistakeIsFound(mistake: Mistake) {
        let profile = RandomHistory.Profile(
            redundancy: 2,
            servers: 3,
            isDegradedServed: mistake == .degradedFlat,
            mistakes: [mistake]
        )
        var played = 0
        var isFound = false
        while !isFound, played < 3_000 {
            let figures = RandomHistory.run(profile, count: 25, firstSeed: UInt64(played + 1))
            played += figures.histories
            isFound = !figures.violations.isEmpty
        }
        #expect(isFound)
    }

    /// `protocol.md` §5, `noSettle`: a create that was stored in a server's former life is under way to the second
    /// server while that one is listed, and acknowledged afterwards with a single copy.
    @Test(arguments: [true, false])
    func aWalkWaitsUntilNothingOlderCanBeAcknowledged(waits: Bool) {
        var world = ReplicaWorld(
            ReplicaLayout(redundancy: 2, servers: 3, placement: 5),
            mistakes: waits ? [] : [.noSettle]
        )
        let create = world.start(.create(proposal: world.proposal()))
        world.deliver(create, to: 0)
        world.perform(.crash(0))
        world.perform(.walk(0))
        #expect(world.servers[0].isComplete)
        world.deliver(create, to: 1)
        #expect((world.ending(of: create) == .unknown) == waits)
        // The only copy goes, which one server may at any time.
        world.perform(.crash(1))
        let load = world.start(.load, by: 1)
        world.runToEnd(load)
        #expect(world.history.violations(last: nil).isEmpty == waits)
    }
}
