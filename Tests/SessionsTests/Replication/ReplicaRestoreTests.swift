import Testing

@testable import Sessions

/// What comes back from the database.
struct ReplicaRestoreTests {
    private var world = ReplicaWorld(ReplicaLoadTests.three)

    @Test mutating func whatIsPutBackIsRead() throws {
        let record = self.world.proposal()
        let restore = self.world.start(.restore(proposal: record))
        self.world.runToEnd(restore)
        let restored = try #require(self.world.outcome(of: restore)?.loaded)
        #expect(restored.record.identity == record.identity)
        #expect(self.world.run(.load, by: 1) == .chosen(record.identity))
        let next = self.world.proposal(from: restored.record)
        #expect(self.world.run(.save(base: restored, proposal: next)) == .chosen(next.identity))
    }

    @Test(arguments: 0..<3, 0..<3)
    mutating func ofTwoStatesThatArePutBackAtOnceOneIsReadByAll(_ first: Int, _ second: Int) {
        let (one, other) = (self.world.proposal(), self.world.proposal())
        let restore = self.world.start(.restore(proposal: one))
        // It gets as far as it gets; somebody else comes in between.
        for server in [first, second] { self.world.deliver(restore, to: server) }
        let ending = self.world.run(.restore(proposal: other), by: 1)
        self.world.runToEnd(restore)
        #expect(ending == .chosen(one.identity) || ending == .chosen(other.identity))
        #expect(self.world.ending(of: restore) == ending)
        #expect(self.world.run(.load, by: 1) == ending)
    }

    @Test mutating func whatIsThereAfterAllStays() {
        let record = self.world.seedSession()
        #expect(self.world.run(.restore(proposal: self.world.proposal())) == .chosen(record.identity))
        #expect(self.world.run(.load) == .chosen(record.identity))
    }

    @Test mutating func aDestroyedSessionIsNotPutBack() {
        _ = self.world.seedSession()
        #expect(self.world.run(.destroy(identity: WriteIdentity(version: 99, writer: 9))) == .destroyed)
        #expect(self.world.run(.restore(proposal: self.world.proposal())) == Ending.none)
        #expect(self.world.run(.load) == Ending.none)
    }

    @Test mutating func withTooFewServersNothingIsPutBack() {
        let ending = self.world.run(.restore(proposal: self.world.proposal()), heldDown: [1, 2])
        #expect(ending == .unavailable(nil))
    }

    @Test mutating func aLookLeavesTheExpiryAsItIs() throws {
        let record = self.world.seedSession()
        for position in 0..<2 {
            self.world.withServer(position) { $0.put(ReplicaCopy(accepted: record), secondsToLive: 100 + position) }
        }
        let look = self.world.start(.look)
        #expect(self.world.runToEnd(look) == (1, 2))
        #expect(self.world.outcome(of: look)?.loaded?.secondsToLive == 101)
        #expect(self.world.servers[0].item?.secondsToLive == 100)
    }

    @Test mutating func aLookThatFinishesAWriteTellsHowLongItHadToLive() {
        let record = self.world.seedSession()
        self.world.withServer(0) { $0.put(ReplicaCopy(accepted: record), secondsToLive: 100) }
        self.world.withServer(1) { $0.forgetItem() }
        let look = self.world.start(.look)
        _ = self.world.runToEnd(look)
        #expect(self.world.outcome(of: look)?.loaded?.record.accepted.ballotClass == .slow)
        #expect(self.world.outcome(of: look)?.loaded?.secondsToLive == 100)
    }
}
