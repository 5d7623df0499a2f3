import Testing

@testable import Sessions

struct ReplicaCreateTests {
    private var world = ReplicaWorld(ReplicaLoadTests.three)

    @Test mutating func aHealthyCreateTakesOneRoundTripAndRCommands() throws {
        let proposal = self.world.proposal()
        let create = self.world.start(.create(proposal: proposal))
        #expect(self.world.runToEnd(create) == (1, 2))
        let created = try #require(self.world.outcome(of: create)?.loaded)
        #expect(created.isUnpromised)
        #expect(self.world.run(.load) == .chosen(proposal.identity))
        let next = self.world.proposal(from: created.record)
        #expect(self.world.run(.save(base: created, proposal: next)) == .chosen(next.identity))
    }

    @Test(arguments: [ReplicaWorld.Delivery.lost, .answerLost, .late], 0..<2)
    mutating func aCreateSurvivesASingleFailure(delivery: ReplicaWorld.Delivery, server: Int) {
        let proposal = self.world.proposal()
        let create = self.world.start(.create(proposal: proposal))
        self.world.runToEnd(create) { roundTrip, position in
            roundTrip == 1 && position == server ? delivery : .answered
        }
        #expect(self.world.ending(of: create) == .chosen(proposal.identity))
        while let stray = self.world.strays.first { self.world.perform(.stray(stray.key)) }
        #expect(self.world.run(.load, by: 1) == .chosen(proposal.identity))
    }

    @Test mutating func aCreateGoesAroundAServerThatIsHeldDown() {
        let proposal = self.world.proposal()
        let create = self.world.start(.create(proposal: proposal), heldDown: [0])
        #expect(self.world.runToEnd(create) == (1, 2))
        #expect(self.world.outcome(of: create)?.loaded?.record.holders == [1, 2])
    }

    @Test mutating func withTooFewServersACreateSaysSoAndTheDegradedOneIsDone() {
        let proposal = self.world.proposal()
        #expect(self.world.run(.create(proposal: proposal), heldDown: [1, 2]) == .unavailable(nil))
        let ending = self.world.run(.createDegraded(proposal: proposal), heldDown: [1, 2])
        #expect(ending == .degraded(proposal.identity))
        #expect(self.world.run(.load, by: 1) == .chosen(proposal.identity))
    }

    @Test mutating func aDegradedCreateFindsWhatTheOrdinaryOneHadLeft() {
        let proposal = self.world.proposal()
        let create = self.world.start(.create(proposal: proposal))
        self.world.runToEnd(create) { _, server in server == 0 ? .answered : .lost }
        let ending = self.world.run(.createDegraded(proposal: proposal), heldDown: [1, 2])
        #expect(ending == .degraded(proposal.identity))
    }

    @Test mutating func aDegradedCreateThatReachesNobodyIsUnknown() {
        let create = self.world.start(.createDegraded(proposal: self.world.proposal()), heldDown: [1, 2])
        self.world.runToEnd(create) { _, _ in .lost }
        #expect(self.world.ending(of: create) == .unknown)
    }

    @Test mutating func aCreateThatIsTooOldIsUnknown() {
        let create = self.world.start(.create(proposal: self.world.proposal()), mayAcknowledge: false)
        self.world.runToEnd(create)
        #expect(self.world.ending(of: create) == .unknown)
    }

    @Test mutating func aSessionThatWasDestroyedWhileItWasCreatedWasCreated() {
        let proposal = self.world.proposal()
        let create = self.world.start(.create(proposal: proposal))
        self.world.deliver(create, to: 0)
        let destroyed = self.world.run(.destroy(identity: WriteIdentity(version: 99, writer: 9)), by: 1)
        #expect(destroyed == .destroyed)
        self.world.runToEnd(create)
        #expect(self.world.ending(of: create) == .chosen(proposal.identity))
        #expect(self.world.run(.load) == Ending.none)
        #expect(self.world.servers[0].item?.secondsToLive == 86_400)
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 4), (3, 5)])
    func aCreateIsOneRoundTripWhateverTheSize(redundancy: Int, servers: Int) {
        var world = ReplicaWorld(ReplicaLayout(redundancy: redundancy, servers: servers, placement: 5))
        let create = world.start(.create(proposal: world.proposal()))
        #expect(world.runToEnd(create) == (1, redundancy))
    }
}
