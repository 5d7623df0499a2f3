import Testing

@testable import Sessions

struct ReplicaLoadTests {
    static let three = ReplicaLayout(redundancy: 2, servers: 3, placement: 5)

    private var world = ReplicaWorld(Self.three)

    // MARK: The table of protocol.md §3

    @Test mutating func aHealthyLoadTakesOneRoundTripAndRCommands() throws {
        let record = self.world.seedSession()
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load) == (1, 2))
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(loaded.record == record)
        #expect(loaded.isUnpromised)
        #expect(!loaded.needsRepair)
    }

    @Test mutating func aLoadFinishesASaveThatIsHalfDone() throws {
        let record = self.world.seedSession()
        let found = self.world.loaded()
        let base = try #require(found)
        let proposal = self.world.proposal(from: record)
        let save = self.world.start(.save(base: base, proposal: proposal))
        self.world.deliver(save, to: 0)
        self.world.perform(.abandon(save))

        let load = self.world.start(.load, by: 1)
        // The first two, the rest, the help.
        #expect(self.world.runToEnd(load) == (3, 4))
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(loaded.record.identity == proposal.identity)
        #expect(loaded.isUnpromised)
        #expect(self.world.isOnAllHolders(loaded.record))
    }

    @Test mutating func theFirstLoadAfterAHolderDiedMovesTheSessionToTheTwoThatLive() throws {
        let record = self.world.seedSession()
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load) { _, server in server == 0 ? .lost : .answered } == (4, 7))
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(loaded.record.identity == record.identity)
        #expect(loaded.record.holders == [1, 2])
        #expect(loaded.needsRepair)

        let next = self.world.start(.load, heldDown: [0])
        #expect(self.world.runToEnd(next) == (1, 2))
        #expect(self.world.outcome(of: next)?.loaded?.needsRepair == false)
    }

    @Test mutating func aHolderThatIsKnownToBeDownIsNotAsked() throws {
        let record = self.world.seedSession()
        let load = self.world.start(.load, heldDown: [0])
        #expect(self.world.runToEnd(load) == (3, 6))
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(loaded.record.identity == record.identity)
        #expect(loaded.record.holders == [1, 2])
    }

    // MARK: What is there, what is not

    @Test mutating func whereNoServerHasItThereIsNone() {
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load) == (2, 3))
        #expect(self.world.ending(of: load) == Ending.none)
    }

    @Test(arguments: 0..<3)
    mutating func oneServerThatDoesNotAnswerHidesNothing(silent: Int) {
        let record = self.world.seedSession()
        let load = self.world.start(.load)
        self.world.runToEnd(load) { _, server in server == silent ? .lost : .answered }
        #expect(self.world.ending(of: load) == .chosen(record.identity))
    }

    @Test(arguments: 0..<3)
    mutating func aSessionThatDoesNotExistIsNoneWithOneServerAway(silent: Int) {
        let load = self.world.start(.load)
        self.world.runToEnd(load) { _, server in server == silent ? .lost : .answered }
        #expect(self.world.ending(of: load) == Ending.none)
    }

    @Test(arguments: 0..<3)
    mutating func aLateAnswerOfAnEarlierStageChangesNothing(late: Int) {
        let record = self.world.seedSession()
        let load = self.world.start(.load)
        let commands = self.world.running[load].operation
        var machine = commands
        var surroundings = self.world.running[load].surroundings
        // Server 0 fails, the rest is asked; then the answer to the first question comes in.
        _ = machine.answered(.failed, by: 0, to: ReplicaCall(number: 1), &surroundings)
        _ = machine.answered(.failed, by: 1, to: ReplicaCall(number: 1), &surroundings)
        let token = ReplicaToken(value: 1, connection: ConnectionIdentity(number: 1))
        let copy = ReplicaCopy(accepted: record)
        let steps = machine.answered(
            .copy(copy, token, secondsToLive: 9),
            by: late,
            to: ReplicaCall(number: 1),
            &surroundings
        )
        #expect(steps.isEmpty)
        #expect(machine.observations.answered.isEmpty)
        #expect(machine.pending == [2])
    }

    @Test mutating func anAnswerIsCountedOnce() {
        let record = self.world.seedSession()
        var machine = ReplicaOperation(.load, on: Self.three)
        var surroundings = ReplicaWorld.ModelSurroundings(
            heldDown: [],
            mayAcknowledge: true,
            now: 1,
            chance: SplitMix(seed: 1)
        )
        _ = machine.start(&surroundings)
        let token = ReplicaToken(value: 1, connection: ConnectionIdentity(number: 1))
        let answer = ReplicaAnswer.copy(ReplicaCopy(accepted: record), token, secondsToLive: 9)
        #expect(machine.answered(answer, by: 0, to: ReplicaCall(number: 1), &surroundings).isEmpty)
        #expect(machine.answered(answer, by: 0, to: ReplicaCall(number: 1), &surroundings).isEmpty)
        #expect(machine.answered(answer, by: 9, to: ReplicaCall(number: 1), &surroundings).isEmpty)
        #expect(machine.answered(answer, by: 1, to: ReplicaCall(number: 1), &surroundings).count == 1)
        #expect(machine.answered(answer, by: 1, to: ReplicaCall(number: 1), &surroundings).isEmpty)
    }

    @Test mutating func onACopyWithAPromiseTheNextSaveGoesTheSlowWay() throws {
        let record = self.world.seedSession()
        let promised = Ballot(round: 9, ballotClass: .slow, attempt: 1)
        self.world.withServer(1) { $0.put(ReplicaCopy(promised: promised, record: record)) }
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load) == (1, 2))
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(!loaded.isUnpromised)

        let proposal = self.world.proposal(from: record)
        let save = self.world.start(.save(base: loaded, proposal: proposal))
        #expect(self.world.runToEnd(save).roundTrips == 3)
        let saved = try #require(self.world.outcome(of: save)?.loaded)
        #expect(saved.record.accepted.round == 10)
    }

    @Test mutating func theSameRecordUnderTwoBallotsIsNotAgreement() {
        let record = self.world.seedSession()
        var again = record
        again.accepted.round = 2
        again.accepted.ballotClass = .slow
        self.world.withServer(1) { $0.put(ReplicaCopy(accepted: again)) }
        #expect(self.world.run(.load) == .chosen(record.identity))
        #expect(self.world.highestRecord.map { self.world.isOnAllHolders($0) && $0.accepted.round == 3 } == true)
    }

    @Test mutating func aRecordOfAnotherPlacementIsWrittenAnew() throws {
        let record = self.world.seedSession()
        for position in 0..<2 {
            var elsewhere = record
            elsewhere.placement = 6
            self.world.withServer(position) { $0.put(ReplicaCopy(accepted: elsewhere)) }
        }
        #expect(self.world.run(.load) == .chosen(record.identity))
        let highest = try #require(self.world.highestRecord)
        #expect(highest.placement == 5)
        #expect(highest.accepted.ballotClass == .slow)
        #expect(self.world.isOnAllHolders(highest))
    }

    // MARK: Servers that have forgotten

    @Test mutating func aServerThatHasForgottenHasNoVote() {
        // The session is on 1 and 2 in truth, 1 does not answer: 0 must not be believed.
        self.world.seedOn([1, 2])
        self.world.perform(.crash(0))
        let load = self.world.start(.load)
        self.world.runToEnd(load) { _, server in server == 1 ? .lost : .answered }
        guard case .unavailable? = self.world.ending(of: load) else {
            Issue.record("\(String(describing: self.world.ending(of: load)))")
            return
        }
    }

    @Test mutating func twoServersThatHaveForgottenAreNoReasonToSayNone() {
        self.world.perform(.crash(0))
        self.world.perform(.crash(1))
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load).roundTrips == 2)
        #expect(self.world.ending(of: load) == .unavailable(nil))
    }

    @Test mutating func aServerThatHasForgottenGetsTheRecordAgain() throws {
        let record = self.world.seedSession()
        self.world.perform(.crash(0))
        let load = self.world.start(.load)
        self.world.runToEnd(load)
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(loaded.record.identity == record.identity)
        #expect(loaded.record.holders == [0, 1])
        #expect(self.world.isOnAllHolders(loaded.record))
    }

    @Test mutating func whileAServerHasForgottenNothingIsPromisedOnIt() {
        _ = self.world.seedSession()
        self.world.perform(.crash(0))
        let load = self.world.start(.load)
        // Stops after the prepare.
        self.world.runToEnd(load) { roundTrip, _ in roundTrip <= 3 ? .answered : .lost }
        #expect(self.world.servers[0].item == nil)
        #expect(self.world.servers[1].item?.copy?.isPromisedElsewhere == true)
        #expect(self.world.servers[2].item?.copy?.isPromisedElsewhere == true)
    }

    // MARK: Copies that do not decode

    @Test(arguments: 0..<2)
    mutating func aCorruptCopyIsReplacedFromTheOther(corrupt: Int) throws {
        let record = self.world.seedSession()
        self.world.perform(.corrupt(corrupt))
        #expect(self.world.run(.load) == .chosen(record.identity))
        let highest = try #require(self.world.highestRecord)
        #expect(highest.holders == [0, 1])
        #expect(self.world.isOnAllHolders(highest))
    }

    @Test mutating func aCorruptCopyThatChangedMeanwhileIsNotOverwritten() {
        _ = self.world.seedSession()
        self.world.perform(.corrupt(0))
        let load = self.world.start(.load)
        // The first two, the rest, then prepare on 1 and 2; before the accept the value on 0 becomes another.
        for server in [0, 1, 2, 1, 2] { self.world.deliver(load, to: server) }
        self.world.perform(.corrupt(0))
        self.world.deliver(load, to: 0)
        #expect(self.world.servers[0].item?.copy == nil)
        self.world.runToEnd(load)
        guard case .chosen? = self.world.ending(of: load) else {
            Issue.record("\(String(describing: self.world.ending(of: load)))")
            return
        }
    }

    @Test(arguments: [(1, 1), (2, 2), (2, 3), (3, 5)])
    func whereEveryCopyIsCorruptThereIsNone(redundancy: Int, servers: Int) {
        var world = ReplicaWorld(ReplicaLayout(redundancy: redundancy, servers: servers, placement: 5))
        let record = world.seedSession()
        for position in record.holders { world.perform(.corrupt(position)) }
        #expect(world.run(.load) == Ending.none)
    }

    @Test mutating func corruptValuesThatWereNotThereTogetherAreNoReasonToSayNone() {
        self.world = ReplicaWorld(ReplicaLayout(redundancy: 2, servers: 2, placement: 5))
        let record = self.world.seedSession()
        self.world.perform(.corrupt(0))
        let load = self.world.start(.load)
        self.world.deliver(load, to: 0)
        self.world.withServer(0) { $0.put(ReplicaCopy(accepted: record)) }
        self.world.perform(.corrupt(1))
        self.world.deliver(load, to: 1)
        self.world.runToEnd(load)
        #expect(self.world.ending(of: load) == .chosen(record.identity))
    }

    // MARK: The end of a session

    @Test mutating func aDestroyedSessionIsNone() {
        _ = self.world.seedSession()
        #expect(self.world.run(.destroy(identity: WriteIdentity(version: 99, writer: 9))) == .destroyed)
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load) == (1, 2))
        #expect(self.world.ending(of: load) == Ending.none)
    }

    @Test mutating func readingATombstoneDoesNotShortenItsLife() {
        _ = self.world.seedSession()
        _ = self.world.run(.destroy(identity: WriteIdentity(version: 99, writer: 9)))
        let load = self.world.start(.load)
        self.world.runToEnd(load)
        #expect(self.world.running[load].restores == 2)
        #expect(self.world.servers[0].item?.secondsToLive == 86_400)
        #expect(self.world.servers[1].item?.secondsToLive == 86_400)
    }

    /// A stub whose time a load has cut short is replaced before the load puts that back: the record lives no longer than
    /// it should, or it would be read again when those that follow it have expired.
    @Test mutating func aRecordThatTookTheStubsPlaceDoesNotGetItsLongLife() throws {
        let record = self.world.seedSession()
        let stub = ReplicaCopy(promised: Ballot(round: 1, ballotClass: .slow, attempt: 9), record: nil)
        self.world.withServer(0) { $0.put(stub, secondsToLive: 3_600) }
        var moved = record
        moved.holders = [1, 2]
        for position in 1...2 { self.world.withServer(position) { $0.put(ReplicaCopy(accepted: moved)) } }
        let load = self.world.start(.load)
        self.world.deliver(load, to: 0)
        self.world.withServer(0) { $0.put(ReplicaCopy(accepted: record), secondsToLive: 100) }
        self.world.runToEnd(load)
        #expect(self.world.ending(of: load) == .chosen(record.identity))
        #expect(self.world.running[load].restores == 1)
        #expect(self.world.servers[0].item?.secondsToLive == 100)
    }

    /// The two copies are not at home, and the first one was evicted.
    @Test mutating func oneEvictedCopyDoesNotHideTheOther() {
        self.world.seedOn([0, 2])
        self.world.withServer(0) { $0.forgetItem() }
        let load = self.world.start(.load)
        self.world.runToEnd(load)
        #expect(self.world.ending(of: load) == .chosen(WriteIdentity(version: 1, writer: 7)))
    }

    @Test mutating func aTombstoneBesideALivingCopyIsWrittenAnewWithItsFullTime() throws {
        let record = self.world.seedSession()
        _ = self.world.run(.destroy(identity: WriteIdentity(version: 99, writer: 9)))
        for position in 0..<2 {
            let tombstone = try #require(self.world.servers[position].item?.copy)
            self.world.withServer(position) { $0.put(tombstone, secondsToLive: 60) }
        }
        self.world.withServer(2) { $0.put(ReplicaCopy(accepted: record)) }
        #expect(self.world.run(.destroy(identity: WriteIdentity(version: 100, writer: 9))) == .destroyed)
        #expect(self.world.servers[0].item?.secondsToLive == 86_400)
        #expect(self.world.servers[1].item?.secondsToLive == 86_400)
    }

    // MARK: Lifetimes

    @Test mutating func aLoadSlidesTheExpiryOfTheFirstRAndOfNoOther() {
        let record = self.world.seedSession()
        for position in 0..<3 {
            self.world.withServer(position) { $0.put(ReplicaCopy(accepted: record), secondsToLive: 100) }
        }
        _ = self.world.run(.load)
        #expect(self.world.servers.map { $0.item?.secondsToLive } == [1_440, 1_440, 100])
    }

    @Test mutating func aPromiseDoesNotLengthenTheLifeOfARecord() {
        self.world.seedOn([1, 2])
        self.world.withServer(2) { server in
            if let copy = server.item?.copy { server.put(copy, secondsToLive: 100) }
        }
        let load = self.world.start(.load, heldDown: [])
        self.world.runToEnd(load) { roundTrip, server in roundTrip == 2 && server == 2 ? .lost : .answered }
        // Server 2 was not read, so it was promised nothing; a repair reads and prepares it.
        _ = self.world.run(.keep)
        #expect(self.world.servers[2].item?.secondsToLive == 100)
    }

    @Test mutating func aRepairLeavesTheExpiryAsItIs() {
        let record = self.world.seedSession()
        for position in 0..<2 {
            self.world.withServer(position) { $0.put(ReplicaCopy(accepted: record), secondsToLive: 100 + position) }
        }
        #expect(self.world.run(.keep) == .chosen(record.identity))
        #expect(self.world.servers[0].item?.secondsToLive == 101)
        #expect(self.world.servers[1].item?.secondsToLive == 101)
    }

    @Test mutating func aRepairMakesYoungCopies() {
        let record = self.world.seedSession()
        #expect(self.world.run(.keep) == .chosen(record.identity))
        #expect(self.world.servers[0].item?.copy?.record?.written == ReplicaWorld.now)
        #expect(self.world.servers[1].item?.copy?.record?.written == ReplicaWorld.now)
    }

    @Test mutating func aCopyThatNeverExpiresStaysSo() {
        let record = self.world.seedSession()
        self.world.withServer(0) { $0.put(ReplicaCopy(accepted: record), secondsToLive: nil) }
        #expect(self.world.run(.keep) == .chosen(record.identity))
        #expect(self.world.servers[0].item.map { $0.secondsToLive == nil } == true)
        #expect(self.world.servers[1].item.map { $0.secondsToLive == nil } == true)
    }

    // MARK: Too few servers

    @Test mutating func withTwoOfThreeHeldDownTheBestCopyIsShownAndNothingIsWritten() {
        let record = self.world.seedSession()
        let load = self.world.start(.load, heldDown: [1, 2])
        #expect(self.world.runToEnd(load) == (1, 1))
        #expect(self.world.ending(of: load) == .unavailable(record.identity))
        #expect(self.world.servers[0].item?.copy == ReplicaCopy(accepted: record))
    }

    @Test mutating func withAllServersHeldDownNothingIsAsked() {
        let load = self.world.start(.load, heldDown: [0, 1, 2])
        #expect(self.world.ending(of: load) == .unavailable(nil))
        #expect(self.world.running[load].commandsSent == 0)
    }

    @Test mutating func twoServersThatDoNotAnswerEndInUnavailableAfterBoundedTries() {
        let record = self.world.seedSession()
        let load = self.world.start(.load)
        let count = self.world.runToEnd(load) { _, server in server == 0 ? .answered : .lost }
        #expect(self.world.ending(of: load) == .unavailable(record.identity))
        #expect(count.roundTrips <= 2 + ReplicaOperation.maximumTries)
        #expect(self.world.servers[0].item?.copy == ReplicaCopy(accepted: record))
    }

    @Test mutating func ofTwoServersOneAloneIsNotEvenPromised() {
        self.world = ReplicaWorld(ReplicaLayout(redundancy: 2, servers: 2, placement: 5))
        let record = self.world.seedSession()
        let load = self.world.start(.load, heldDown: [1])
        self.world.runToEnd(load)
        #expect(self.world.ending(of: load) == .unavailable(record.identity))
        #expect(self.world.servers[0].item?.copy == ReplicaCopy(accepted: record))
    }

    // MARK: Deadlines

    @Test(arguments: 0...7)
    mutating func theDeadlineEndsALoadInEveryPhase(after answers: Int) {
        _ = self.world.seedSession()
        let load = self.world.start(.load)
        var left = answers
        while left > 0, let key = self.world.messages.first?.key {
            left -= 1
            self.world.perform(.message(key, key.server == 0 ? .lost : .answered))
        }
        let wasOver = self.world.isOver(load)
        self.world.perform(.deadline(load))
        #expect(self.world.isOver(load))
        if case .unavailable? = self.world.ending(of: load) { #expect(!wasOver) } else { #expect(wasOver) }
        #expect(self.world.messages.isEmpty)
    }

    @Test mutating func theDeadlineEndsABackOff() {
        _ = self.world.seedSession()
        let load = self.world.start(.load)
        while !self.world.running[load].isBackingOff, let key = self.world.messages.first?.key {
            self.world.perform(.message(key, key.server == 0 ? .answered : .lost))
        }
        #expect(self.world.running[load].isBackingOff)
        self.world.perform(.deadline(load))
        #expect(self.world.isOver(load))
        var machine = self.world.running[load].operation
        var surroundings = self.world.running[load].surroundings
        #expect(machine.backOffElapsed(&surroundings).isEmpty)
    }

    // MARK: Other sizes

    @Test(arguments: [(1, 1), (2, 2), (3, 3), (3, 4), (3, 5), (4, 7), (8, 15)])
    func aHealthyLoadIsOneRoundTripWhateverTheSize(redundancy: Int, servers: Int) {
        var world = ReplicaWorld(ReplicaLayout(redundancy: redundancy, servers: servers, placement: 5))
        let record = world.seedSession()
        let load = world.start(.load)
        #expect(world.runToEnd(load) == (1, redundancy))
        #expect(world.ending(of: load) == .chosen(record.identity))
    }

    @Test mutating func withThreeCopiesAmongFiveAnyTwoServersMayBeAway() {
        for first in 0..<5 {
            for second in (first + 1)..<5 {
                var world = ReplicaWorld(ReplicaLayout(redundancy: 3, servers: 5, placement: 5))
                let record = world.seedSession()
                let load = world.start(.load)
                world.runToEnd(load) { _, server in server == first || server == second ? .lost : .answered }
                #expect(world.ending(of: load) == .chosen(record.identity))
            }
        }
    }
}
