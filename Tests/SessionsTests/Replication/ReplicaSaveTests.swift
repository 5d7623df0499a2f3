import Testing

@testable import Sessions

struct ReplicaSaveTests {
    private var world = ReplicaWorld(ReplicaLoadTests.three)
    private let base: LoadedRecord
    private let proposal: SessionRecord

    init() throws {
        _ = self.world.seedSession()
        let found = self.world.loaded()
        self.base = try #require(found)
        self.proposal = self.world.proposal(from: self.base.record)
    }

    private mutating func start(heldDown: Positions = [], mayAcknowledge: Bool = true) -> Int {
        self.world.start(
            .save(base: self.base, proposal: self.proposal),
            heldDown: heldDown,
            mayAcknowledge: mayAcknowledge
        )
    }

    /// Somebody else's save from the same base, chosen.
    private mutating func rival() throws -> SessionRecord {
        let found = self.world.loaded(by: 1)
        let base = try #require(found)
        let rival = self.world.proposal(from: base.record)
        #expect(self.world.run(.save(base: base, proposal: rival), by: 1) == .chosen(rival.identity))
        return rival
    }

    @Test mutating func aHealthySaveTakesOneRoundTripAndRCommands() throws {
        let save = self.start()
        #expect(self.world.runToEnd(save) == (1, 2))
        let saved = try #require(self.world.outcome(of: save)?.loaded)
        #expect(saved.record.identity == self.proposal.identity)
        #expect(saved.record.accepted.round == self.base.record.accepted.round + 1)
        #expect(saved.record.accepted.ballotClass == .fast)
        #expect(saved.isUnpromised)
        #expect(self.world.isOnAllHolders(saved.record))

        // What it gave back is good for the next save.
        let next = self.world.proposal(from: saved.record)
        let again = self.world.start(.save(base: saved, proposal: next))
        #expect(self.world.runToEnd(again) == (1, 2))
        #expect(self.world.ending(of: again) == .chosen(next.identity))
    }

    @Test mutating func aSaveWhoseHolderDiedIsMadeOnTheOthers() throws {
        let save = self.start()
        #expect(self.world.runToEnd(save) { _, server in server == 0 ? .lost : .answered } == (4, 9))
        let saved = try #require(self.world.outcome(of: save)?.loaded)
        #expect(saved.record.identity == self.proposal.identity)
        #expect(saved.record.holders == [1, 2])
        #expect(saved.record.accepted.ballotClass == .slow)
    }

    /// A server that answered SERVER_ERROR has lost what it had, and is not asked again for this operation.
    @Test(arguments: [0, 1])
    mutating func aSaveThatAHolderDeclinesIsMadeOnTheOthers(_ position: Int) throws {
        let save = self.start()
        var asked = 0
        self.world.runToEnd(save) { _, server in
            guard server == position else { return .answered }
            asked += 1
            return .declined
        }
        #expect(asked == 1)
        let saved = try #require(self.world.outcome(of: save)?.loaded)
        #expect(saved.record.identity == self.proposal.identity)
        #expect(saved.record.holders == (position == 0 ? [1, 2] : [0, 2]))
        #expect(self.world.isOnAllHolders(saved.record))
        #expect(self.world.run(.load, by: 1) == .chosen(self.proposal.identity))
    }

    /// Of three servers two decline: nothing can be acknowledged, and nothing false is said.
    @Test mutating func aSaveThatTooManyServersDeclineIsNotSaved() {
        let save = self.start()
        self.world.runToEnd(save) { _, server in server == 2 ? .answered : .declined }
        switch self.world.outcome(of: save) {
        case .chosen, .discarded: Issue.record("said to be \(String(describing: self.world.ending(of: save)))")
        default: break
        }
    }

    @Test mutating func aSaveWithAHolderHeldDownDoesNotTryTheFastWay() {
        let save = self.start(heldDown: [1])
        #expect(self.world.runToEnd(save) == (3, 6))
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
    }

    @Test mutating func aLostRaceIsDiscardedOnceTheWinnerIsChosen() throws {
        let rival = try self.rival()
        let save = self.start()
        #expect(self.world.runToEnd(save) == (2, 5))
        #expect(self.world.ending(of: save) == .discarded(rival.identity))
        #expect(self.world.run(.load, by: 1) == .chosen(rival.identity))
    }

    @Test mutating func aHalfDoneRivalIsChosenBeforeTheLoserIsTold() throws {
        let found = self.world.loaded(by: 1)
        let theirs = try #require(found)
        let rival = self.world.proposal(from: theirs.record)
        let first = self.world.start(.save(base: theirs, proposal: rival), by: 1)
        self.world.deliver(first, to: 0)
        self.world.perform(.abandon(first))

        let save = self.start()
        self.world.deliver(save, to: 0)
        // The other holder does not get it in time: nobody has won yet.
        self.world.deliver(save, to: 1, .lost)
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .discarded(rival.identity))
        let highest = try #require(self.world.highestRecord)
        #expect(highest.identity == rival.identity)
        #expect(self.world.isOnAllHolders(highest))
    }

    @Test(arguments: [ReplicaWorld.Delivery.lost, .answerLost, .late], 0..<2)
    mutating func aSingleFailureStillSaves(delivery: ReplicaWorld.Delivery, server: Int) {
        let save = self.start()
        self.world.runToEnd(save) { roundTrip, position in
            roundTrip == 1 && position == server ? delivery : .answered
        }
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
        while let stray = self.world.strays.first { self.world.perform(.stray(stray.key)) }
        #expect(self.world.run(.load, by: 1) == .chosen(self.proposal.identity))
    }

    @Test(arguments: 1...4, 0..<3)
    mutating func aFailureInAnyPhaseIsSurvived(roundTrip: Int, server: Int) {
        // The first holder is away, so that the save goes through all phases; in one of them another fails too, once.
        let save = self.start()
        self.world.runToEnd(save) { current, position in
            if current == 1, position == 0 { return .lost }
            return current == roundTrip && position == server ? .answerLost : .answered
        }
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
    }

    @Test mutating func aSaveThatWasOvertakenIsSavedAllTheSame() throws {
        let save = self.start()
        self.world.deliver(save, to: 0, .answerLost)
        self.world.deliver(save, to: 1, .answerLost)
        // Another request loads it and goes on from it before this one has looked.
        let found = self.world.loaded(by: 1)
        let next = try #require(found)
        let successor = self.world.proposal(from: next.record)
        #expect(self.world.run(.save(base: next, proposal: successor), by: 1) == .chosen(successor.identity))
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
        let own = try #require(self.world.outcome(of: save)?.loaded)
        #expect(!own.isUnpromised)

        // A save from it goes the slow way, and is told the truth.
        let late = self.world.proposal(from: own.record)
        #expect(self.world.run(.save(base: own, proposal: late)) == .discarded(successor.identity))
    }

    @Test mutating func aSaveThatWasSentAndLeftNoTraceIsUnknown() {
        let save = self.start()
        self.world.deliver(save, to: 0, .answerLost)
        self.world.deliver(save, to: 1, .lost)
        for position in 0..<3 { self.world.withServer(position) { $0.forgetItem() } }
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .unknown)
    }

    @Test mutating func aSaveFromASessionThatIsGoneIsDiscarded() {
        for position in 0..<3 { self.world.withServer(position) { $0.forgetItem() } }
        let save = self.start(heldDown: [0])
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .discarded(nil))
    }

    @Test mutating func aSaveAfterTheEndIsDiscarded() {
        let destroyed = self.world.run(.destroy(identity: WriteIdentity(version: 99, writer: 9)), by: 1)
        #expect(destroyed == .destroyed)
        let save = self.start()
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .discarded(WriteIdentity(version: 99, writer: 9)))
        #expect(self.world.run(.load) == Ending.none)
    }

    @Test mutating func aLoserWhoseBaseIsLongGoneIsUnknownOnlyIfItWasSent() throws {
        for _ in 0..<12 { _ = try self.rival() }
        let unsent = self.start(heldDown: [0])
        self.world.runToEnd(unsent)
        guard case .discarded? = self.world.ending(of: unsent) else {
            Issue.record("\(String(describing: self.world.ending(of: unsent)))")
            return
        }
        let sent = self.start()
        self.world.runToEnd(sent)
        #expect(self.world.ending(of: sent) == .unknown)
    }

    @Test mutating func aTokenIsGoodOnlyOnTheConnectionThatSawIt() throws {
        // The server restarts, counts from the start again, and comes to the same number with another record.
        self.world.perform(.crash(0))
        self.world.withServer(0) { $0.put(ReplicaCopy(accepted: self.base.record)) }
        #expect(self.world.servers[0].item?.token == self.base.tokens[0]?.value)
        let save = self.start()
        self.world.runToEnd(save)
        let saved = try #require(self.world.outcome(of: save)?.loaded)
        #expect(saved.record.accepted.ballotClass == .slow)
    }

    // MARK: Too old to say anything

    @Test mutating func aSaveThatIsTooOldIsUnknownThoughItWasStored() {
        let save = self.start(mayAcknowledge: false)
        #expect(self.world.runToEnd(save) == (1, 2))
        #expect(self.world.ending(of: save) == .unknown)
    }

    @Test mutating func aSaveThatIsTooOldIsNotCalledDiscarded() throws {
        _ = try self.rival()
        let save = self.start(mayAcknowledge: false)
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .unknown)
    }

    @Test(arguments: 0...8)
    mutating func theDeadlineMakesASaveUnknownInEveryPhase(after answers: Int) {
        let save = self.start()
        var left = answers
        while left > 0, let key = self.world.messages.first?.key {
            left -= 1
            self.world.perform(.message(key, key.server == 0 ? .lost : .answered))
        }
        let wasOver = self.world.isOver(save)
        self.world.perform(.deadline(save))
        #expect(self.world.ending(of: save) == (wasOver ? .chosen(self.proposal.identity) : .unknown))
    }

    // MARK: Odd bases

    @Test mutating func aBaseOfAnotherPlacementGoesTheSlowWay() {
        let base = self.base.changed { $0.placement = 6 }
        let save = self.world.start(.save(base: base, proposal: self.proposal))
        #expect(self.world.runToEnd(save).roundTrips == 3)
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
    }

    @Test mutating func aBaseFromAWiderSetDoesNotTrap() {
        let tokens = Array(repeating: self.base.tokens[0], count: 5)
        let base = self.base.changed(tokens: tokens) { $0.holders = [3, 4] }
        let save = self.world.start(.save(base: base, proposal: self.proposal))
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
    }

    @Test mutating func aBaseWithoutHoldersDoesNotHang() {
        let base = self.base.changed { $0.holders = [] }
        let save = self.world.start(.save(base: base, proposal: self.proposal))
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .chosen(self.proposal.identity))
    }

    @Test mutating func aRoundThatCannotBeCountedOnEndsTheOperation() throws {
        var record = self.base.record
        record.accepted.round = .max
        for position in 0..<2 { self.world.withServer(position) { $0.put(ReplicaCopy(accepted: record)) } }
        let found = self.world.loaded()
        let base = try #require(found)
        #expect(self.world.run(.save(base: base, proposal: self.world.proposal(from: record))) == .unknown)
    }

    // MARK: Degraded

    @Test mutating func withTwoServersAwayASaveSaysSo() {
        let save = self.start(heldDown: [1, 2])
        self.world.runToEnd(save)
        #expect(self.world.ending(of: save) == .unavailable(self.base.record.identity))
        #expect(self.world.highestRecord == self.base.record)
    }

    /// Whoever says that a save is discarded has to know.
    @Test(arguments: [true, false])
    mutating func ofASaveThatTooFewTookItIsKnownWhetherOneMayHaveIt(isSent: Bool) {
        let save = self.start(heldDown: isSent ? [] : [1, 2])
        self.world.runToEnd(save) { _, server in server == 0 ? .answered : .lost }
        guard case .unavailable(_, let mayBeWritten)? = self.world.outcome(of: save) else {
            Issue.record("\(String(describing: self.world.ending(of: save)))")
            return
        }
        #expect(mayBeWritten == isSent)
    }

    @Test mutating func aDegradedSaveIsReadBackAndGivesWayToNothingButTheAcknowledged() throws {
        let degraded = self.world.start(
            .saveDegraded(base: self.base.record, proposal: self.proposal),
            heldDown: [1, 2]
        )
        #expect(self.world.runToEnd(degraded) == (2, 2))
        #expect(self.world.ending(of: degraded) == .degraded(self.proposal.identity))
        // All are back, nobody else wrote: it stays.
        let load = self.world.start(.load, by: 1)
        self.world.runToEnd(load)
        let loaded = try #require(self.world.outcome(of: load)?.loaded)
        #expect(loaded.record.identity == self.proposal.identity)
        #expect(loaded.record.accepted.ballotClass == .slow)
        #expect(loaded.record.accepted.depth == 0)
    }

    @Test mutating func anAcknowledgedSaveOutranksDegradedOnesHoweverMany() throws {
        var record = self.base.record
        for _ in 0..<300 {
            let proposal = self.world.proposal(from: record)
            let ending = self.world.run(.saveDegraded(base: record, proposal: proposal), heldDown: [1, 2])
            #expect(ending == .degraded(proposal.identity))
            record = proposal
        }
        // Another gateway sees the other two.
        let load = self.world.start(.load, by: 1, heldDown: [0])
        self.world.runToEnd(load)
        let theirs = try #require(self.world.outcome(of: load)?.loaded)
        #expect(theirs.record.identity == self.base.record.identity)
        let winner = self.world.proposal(from: theirs.record)
        #expect(self.world.run(.save(base: theirs, proposal: winner), by: 1) == .chosen(winner.identity))
        for gateway in 0..<3 { #expect(self.world.run(.load, by: gateway) == .chosen(winner.identity)) }
    }

    /// A half write on a server that a gateway is alone with: what it adds must not outrank what the others choose
    /// without having seen it.
    @Test mutating func aDegradedSaveOnAHalfWriteStaysBelowWhatIsChosenElsewhere() throws {
        let half = self.start()
        self.world.deliver(half, to: 0)
        self.world.perform(.abandon(half))
        let alone = self.world.proposal(from: self.proposal)
        let ending = self.world.run(.saveDegraded(base: self.proposal, proposal: alone), heldDown: [1, 2])
        #expect(ending == .degraded(alone.identity))

        let load = self.world.start(.load, by: 1, heldDown: [0])
        self.world.runToEnd(load)
        let theirs = try #require(self.world.outcome(of: load)?.loaded)
        let winner = self.world.proposal(from: theirs.record)
        #expect(self.world.run(.save(base: theirs, proposal: winner), by: 1, heldDown: [0]) == .chosen(winner.identity))
        for gateway in 0..<3 { #expect(self.world.run(.load, by: gateway) == .chosen(winner.identity)) }
    }

    @Test mutating func aDegradedRecordOnAllHoldersIsNotYetChosen() throws {
        var record = self.proposal
        record.accepted = try #require(self.base.record.accepted.nextDegraded(random: 1))
        record.holders = [0, 1]
        record.placement = 5
        for position in 0..<2 { self.world.withServer(position) { $0.put(ReplicaCopy(accepted: record)) } }
        let load = self.world.start(.load)
        #expect(self.world.runToEnd(load).roundTrips == 4)
        #expect(self.world.highestRecord?.accepted.ballotClass == .slow)
    }

    @Test mutating func aDegradedSaveFromAnotherBaseIsUnknown() throws {
        _ = try self.rival()
        let ending = self.world.run(
            .saveDegraded(base: self.base.record, proposal: self.proposal),
            heldDown: [1, 2]
        )
        #expect(ending == .unknown)
    }

    @Test mutating func aSaveThatReachedOneServerIsDegradedThereWithoutASecondWrite() {
        let save = self.start()
        self.world.runToEnd(save) { _, server in server == 0 ? .answered : .lost }
        let before = self.world.servers[0].item?.token
        let ending = self.world.run(
            .saveDegraded(base: self.base.record, proposal: self.proposal),
            heldDown: [1, 2]
        )
        #expect(ending == .degraded(self.proposal.identity))
        #expect(self.world.servers[0].item?.token == before)
    }
}
