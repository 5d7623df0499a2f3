import NIOCore
import Testing

@testable import Sessions

struct ReplicaDestroyTests {
    private static let end = WriteIdentity(version: 99, writer: 9)
    private var world = ReplicaWorld(ReplicaLoadTests.three)

    @Test mutating func aDestroyTakesThreeRoundTrips() throws {
        let record = self.world.seedSession()
        let destroy = self.world.start(.destroy(identity: Self.end))
        // All three are prepared, not two: one more that fails costs no new try.
        #expect(self.world.runToEnd(destroy) == (3, 8))
        #expect(self.world.ending(of: destroy) == .destroyed)
        let tombstone = try #require(self.world.highestRecord)
        #expect(tombstone.isTombstone)
        #expect(tombstone.base == record.identity)
        #expect(tombstone.payload.readableBytes == 0)
        #expect(self.world.isOnAllHolders(tombstone))
    }

    @Test(arguments: 0..<3)
    mutating func aDestroyIsDoneWithOneServerAway(silent: Int) {
        _ = self.world.seedSession()
        let destroy = self.world.start(.destroy(identity: Self.end))
        self.world.runToEnd(destroy) { _, server in server == silent ? .lost : .answered }
        #expect(self.world.ending(of: destroy) == .destroyed)
        #expect(self.world.run(.load, by: 1) == Ending.none)
    }

    @Test mutating func aDestroyIsRepeatedUntilTheTombstoneIsChosen() {
        _ = self.world.seedSession()
        let destroy = self.world.start(.destroy(identity: Self.end))
        // The first try reaches nobody with its tombstone.
        self.world.runToEnd(destroy) { roundTrip, _ in roundTrip == 3 ? .lost : .answered }
        #expect(self.world.ending(of: destroy) == .destroyed)
        #expect(self.world.run(.load) == Ending.none)
    }

    @Test mutating func whatIsNotThereIsDestroyed() {
        #expect(self.world.run(.destroy(identity: Self.end)) == .destroyed)
        #expect(self.world.highestRecord?.isTombstone == true)
    }

    /// Found by the simulation: all servers had forgotten it, and another request put it back from the database.
    @Test(arguments: 0...9)
    mutating func whatIsPutBackAtTheSameTimeStaysDestroyed(after answers: Int) {
        let restore = self.world.start(.restore(proposal: self.world.proposal()))
        var left = answers
        while left > 0, let key = self.world.messages.first?.key {
            left -= 1
            self.world.perform(.message(key, .answered))
        }
        #expect(self.world.run(.destroy(identity: Self.end), by: 1) == .destroyed)
        if !self.world.isOver(restore) { self.world.runToEnd(restore) }
        #expect(self.world.run(.load, by: 2) == Ending.none)
    }

    @Test mutating func aFirstSaveThatIsLateRevivesNothing() {
        let create = self.world.start(.create(proposal: self.world.proposal()))
        for server in 0..<2 { self.world.deliver(create, to: server, .late) }
        self.world.perform(.abandon(create))
        #expect(self.world.run(.destroy(identity: Self.end), by: 1) == .destroyed)
        while let stray = self.world.strays.first { self.world.perform(.stray(stray.key)) }
        #expect(self.world.run(.load, by: 2) == Ending.none)
    }

    /// Created while only one server was there, destroyed while that one is away: the others know of nothing, and a
    /// quorum of them proves nothing about a record that had no quorum itself.
    @Test mutating func aDegradedSessionOnAServerThatIsAwayStaysDestroyed() {
        let proposal = self.world.proposal()
        let created = self.world.run(.createDegraded(proposal: proposal), heldDown: [0, 1])
        #expect(created == .degraded(proposal.identity))
        #expect(self.world.run(.destroy(identity: Self.end), by: 1, heldDown: [2]) == .destroyed)
        #expect(self.world.highestRecord?.isTombstone == true)
        #expect(self.world.run(.load, by: 2) == Ending.none)
        #expect(self.world.run(.load, by: 2, heldDown: [0]) == Ending.none)
    }

    @Test mutating func ofTwoServersOneAloneDoesNotKnowThatThereIsNothing() {
        self.world = ReplicaWorld(ReplicaLayout(redundancy: 2, servers: 2, placement: 5))
        #expect(self.world.run(.destroy(identity: Self.end), heldDown: [1]) == .unknown)
        #expect(self.world.run(.destroy(identity: Self.end)) == .destroyed)
    }

    @Test mutating func withTwoServersAwayADestroyIsNeverAcknowledged() {
        _ = self.world.seedSession()
        #expect(self.world.run(.destroy(identity: Self.end), heldDown: [1, 2]) == .unknown)
        let destroy = self.world.start(.destroy(identity: Self.end))
        self.world.runToEnd(destroy) { _, server in server == 2 ? .answered : .lost }
        #expect(self.world.ending(of: destroy) == .unknown)
    }

    @Test mutating func aDestroyThatIsTooOldIsUnknown() {
        _ = self.world.seedSession()
        let destroy = self.world.start(.destroy(identity: Self.end), mayAcknowledge: false)
        self.world.runToEnd(destroy)
        #expect(self.world.ending(of: destroy) == .unknown)
    }

    @Test(arguments: 0...8)
    mutating func theDeadlineMakesADestroyUnknownInEveryPhase(after answers: Int) {
        _ = self.world.seedSession()
        let destroy = self.world.start(.destroy(identity: Self.end))
        var left = answers
        while left > 0, let key = self.world.messages.first?.key {
            left -= 1
            self.world.perform(.message(key, .answered))
        }
        let wasOver = self.world.isOver(destroy)
        self.world.perform(.deadline(destroy))
        #expect(self.world.ending(of: destroy) == (wasOver ? .destroyed : .unknown))
    }

    @Test mutating func aSaveThatArrivesAfterTheEndRevivesNothing() throws {
        _ = self.world.seedSession()
        let found = self.world.loaded()
        let base = try #require(found)
        let save = self.world.start(.save(base: base, proposal: self.world.proposal(from: base.record)))
        self.world.deliver(save, to: 0)
        self.world.deliver(save, to: 1, .late)
        self.world.perform(.abandon(save))
        #expect(self.world.run(.destroy(identity: Self.end), by: 1) == .destroyed)
        while let stray = self.world.strays.first { self.world.perform(.stray(stray.key)) }
        #expect(self.world.run(.load, by: 2) == Ending.none)
    }

    @Test mutating func anOldCopyThatComesBackRevivesNothing() {
        let record = self.world.seedSession()
        let destroy = self.world.start(.destroy(identity: Self.end), heldDown: [0])
        self.world.runToEnd(destroy)
        #expect(self.world.ending(of: destroy) == .destroyed)
        #expect(self.world.servers[0].item?.copy?.record?.identity == record.identity)
        #expect(self.world.run(.load, by: 1) == Ending.none)
        #expect(self.world.run(.load, by: 1, heldDown: [1]) == Ending.none)
        #expect(self.world.run(.load, by: 1, heldDown: [2]) == Ending.none)
    }
}
