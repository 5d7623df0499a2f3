import HistoryChecker
import Testing

@testable import Sessions

struct ReplicaWalkTests {
    /// `noSettle`: a create that was stored in a server's former life is under way to the second server while that one
    /// is listed, and acknowledged afterwards with a single copy.
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
        #expect(world.checker.violations.isEmpty == waits)
    }

    /// Server 0 has forgotten, the copy on server 1 does not decode: of two copies none is left.
    @Test func aSessionWhoseCopiesAreGoneIsBeyondRepair() {
        var world = ReplicaWorld(ReplicaLayout(redundancy: 2, servers: 3, placement: 5))
        _ = world.seedSession()
        world.perform(.crash(0))
        world.perform(.corrupt(1))
        let keep = world.start(.keep)
        #expect(world.runToEnd(keep) == (2, 6))
        #expect(world.ending(of: keep) == .beyondRepair)
    }

    /// One server that has forgotten and one that is away: it may come back with what it knows.
    @Test func aSessionWhoseServerIsAwayIsNotBeyondRepair() {
        var world = ReplicaWorld(ReplicaLayout(redundancy: 2, servers: 3, placement: 5))
        let record = world.seedSession()
        world.perform(.crash(0))
        let keep = world.start(.keep, heldDown: [2])
        world.runToEnd(keep)
        #expect(world.ending(of: keep) == .unavailable(record.identity))
    }
}
