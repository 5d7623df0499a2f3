import NIOCore
import Testing

@testable import Sessions

/// One story each: what memcached and the database answer, and what is asked next.
struct TierOperationTests {
    let key: SessionKey
    var memory: TierMemory
    let moment = TierOperation.Moment(now: 1_000_000, mayReach: true)

    init() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        self.key = keyspace.key(for: try #require(SessionID("some-session-or-another")))
        var configuration = TierConfiguration(
            keyspace: keyspace,
            idleLifetime: .seconds(1_440),
            absoluteLifetime: .seconds(86_400)
        )
        configuration.unknownIDs = 5
        self.memory = TierMemory(configuration: configuration, writer: 1)
    }

    func record(_ version: UInt64, after ancestors: [UInt64] = [], of writer: UInt64 = 1) -> SessionRecord {
        SessionRecord(
            identity: WriteIdentity(version: version, writer: 1),
            ancestors: ancestors.map { WriteIdentity(version: $0, writer: writer) },
            created: 1,
            written: 1,
            databaseSynced: 999_999,
            idleSeconds: 1_440,
            absoluteDeadline: .max,
            payload: ByteBuffer(string: "\(version)")
        )
    }

    func session(_ version: UInt64, after ancestors: [UInt64] = [], isDegraded: Bool = false) -> StoredSession {
        let loaded = LoadedRecord(record: self.record(version, after: ancestors), tokens: [], needsRepair: false)
        return StoredSession(loaded: loaded, isDegraded: isDegraded)
    }

    func row(_ version: UInt64, after ancestors: [UInt64] = [], newest: UInt64? = nil) -> SessionRow {
        var row = self.memory.row(self.record(version, after: ancestors), self.key, at: self.moment.now)
        row.newest = newest ?? version
        return row
    }

    var tombstone: SessionRow {
        .tombstone(
            self.key,
            identity: WriteIdentity(version: 50, writer: 1),
            absoluteLifetime: .seconds(60),
            at: 1_000_000
        )
    }

    /// - Returns: the steps, in words; the last one may be the end.
    mutating func play(
        _ goal: TierOperation.Goal,
        mayReach: Bool = true,
        _ answers: [TierOperation.Answer]
    ) -> [String] {
        let moment = TierOperation.Moment(now: self.moment.now, mayReach: mayReach)
        var operation = TierOperation(goal, key: self.key)
        var steps = [Self.name(operation.start(&self.memory, moment))]
        for answer in answers { steps.append(Self.name(operation.answered(answer, &self.memory, moment))) }
        return steps
    }

    static func name(_ step: TierOperation.Step) -> String {
        switch step {
        case .loadReplicas: "load"
        case .restore(let record): "restore \(String(buffer: record.payload))"
        case .writeReplicas(.save(_, let proposal)): "save \(proposal.identity.version)"
        case .writeReplicas(.create(let record)): "create \(record.identity.version)"
        case .writeFewReplicas(.saveDegraded(_, let proposal)): "save \(proposal.identity.version) on few"
        case .writeFewReplicas(.createDegraded(let record)): "create \(record.identity.version) on few"
        case .writeReplicas, .writeFewReplicas: "another goal"
        case .bury(let row): "bury, due \(row.due)"
        case .loadRow: "row"
        case .write(.insert(let row), _): "insert \(row.record.identity.version), due \(row.due)"
        case .write(.compareAndSave(let row, let base), _): "\(base.version) becomes \(row.record.identity.version)"
        case .write(.upsert(let row, let replaced), let isDurable):
            "upsert \(row.record.identity.version) over \(replaced)\(isDurable ? ", durable" : "")"
        case .write(.tombstone(let row), _): "tombstone, due \(row.due)"
        case .write(.mark, _): "mark"
        case .write: "write"
        case .finishLoad(.live(let session)):
            "live \(String(buffer: session.payload))\(session.isDegraded ? " degraded" : "")"
                + (session.hasGoneBack ? " reverted" : "")
        case .finishLoad(let outcome): "\(outcome)"
        case .finishWrite(.saved): "saved"
        case .finishWrite(.degraded(let session)): "degraded\(session.hasGoneBack ? " reverted" : "")"
        case .finishWrite(.discarded): "discarded"
        case .finishWrite(let outcome): "\(outcome)"
        case .finishDestroy(let outcome): "\(outcome)"
        }
    }

    // MARK: Loads

    @Test mutating func whatMemcachedHasCostsTheDatabaseNothing() {
        let session = self.session(10)
        #expect(self.play(.load(client: nil), [.loaded(.live(session))]) == ["load", "live 10"])
        #expect(self.memory.counts.avoidedReads == 1)
    }

    @Test mutating func whatMemcachedForgotIsPutBack() {
        let (row, session) = (self.row(10), self.session(10))
        let steps = self.play(.load(client: nil), [.loaded(.none), .row(row), .loaded(.live(session))])
        #expect(steps == ["load", "row", "restore 10", "live 10"])
    }

    @Test mutating func whatWentBackGoesOnAboveAllThatIsLost() {
        let row = self.row(10, newest: 2_000_000_000)
        var next = self.session(10)
        next.setIdentity(WriteIdentity(version: 2_000_000_002, writer: 1))
        let answers: [TierOperation.Answer] = [
            .loaded(.none), .row(row), .loaded(.none), .changed(.applied), .loaded(.live(next)),
        ]
        let steps = self.play(.load(client: nil), answers)
        #expect(steps == ["load", "row", "load", "10 becomes 2000000002", "restore 10", "live 10 reverted"])
    }

    @Test mutating func whatCameAfterMemcachedWasAskedIsNotLost() {
        let row = self.row(10, newest: 20)
        let steps = self.play(
            .load(client: nil),
            [.loaded(.none), .row(row), .loaded(.live(self.session(20, after: [10])))]
        )
        #expect(steps == ["load", "row", "load", "live 20"])
    }

    @Test mutating func ofSeveralThatPutBackOneSaysSo() {
        let (row, moved) = (self.row(10, newest: 20), self.row(30, after: [10]))
        let refused = TierOperation.Answer.changed(.refused(current: moved.record.identity))
        let answers = [
            .loaded(.none), .row(row), .loaded(.none), refused, .row(moved),
            .loaded(.live(self.session(30, after: [10]))),
        ]
        #expect(self.play(.load(client: nil), answers).suffix(3) == ["row", "restore 30", "live 30"])
    }

    @Test mutating func ofTwoLinesTheRowCountsAndNotWhatWaitsHere() {
        // Acknowledged here before all copies were lost; the row has gone on from 10 since.
        self.memory.saved(self.record(40, after: [20, 10]), self.key, isDue: false, at: 1_000_000)
        let row = self.row(30, after: [10])
        let steps = self.play(.load(client: nil), [.loaded(.none), .row(row)])
        #expect(steps == ["load", "row", "restore 30"])
        // What was made from the row is newer.
        self.memory.written(.upsert(self.row(40)))
        self.memory.saved(self.record(50, after: [30, 10]), self.key, isDue: false, at: 1_000_000)
        #expect(self.play(.load(client: nil), [.loaded(.none), .row(row)]).last == "restore 50")
    }

    @Test mutating func afterAnAbsenceMemcachedIsComparedWithTheRow() {
        self.memory.memcachedWasAway()
        let session = self.session(10)
        let buried = TierOperation.Answer.buried(inMemcached: true, inDatabase: true)
        let ended = self.play(.load(client: nil), [.loaded(.live(session)), .row(self.tombstone), buried])
        #expect(ended == ["load", "row", "bury, due 0", "none"])
        #expect(self.memory.unplaced.isEmpty)
        // Where memcached does not take it, every gateway is to hear of it before a visitor does.
        let untold = TierOperation.Answer.buried(inMemcached: false, inDatabase: true)
        let told = self.play(.load(client: nil), [.loaded(.live(session)), .row(self.tombstone), untold])
        #expect(told == ["load", "row", "bury, due 0", "none"])
        #expect(self.memory.unplaced == [self.key])
        let row = self.row(20, after: [10])
        let placed = TierOperation.Answer.written(.saved(self.session(20, after: [10])))
        let steps = self.play(.load(client: nil), [.loaded(.live(session)), .row(row), placed])
        #expect(steps == ["load", "row", "save 20", "live 20"])
        // Chosen is what memcached has, where the two have gone different ways.
        let other = self.row(20, after: [5])
        #expect(self.play(.load(client: nil), [.loaded(.live(session)), .row(other)]).last == "live 10")
        let question = self.memory.catchingUp()
        self.memory.caughtUp(question)
        self.memory.placed(self.key)
        #expect(self.play(.load(client: nil), [.loaded(.live(session))]) == ["load", "live 10"])
    }

    @Test mutating func afterTooManyServersHaveForgottenEachSessionIsComparedOnce() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (session, row) = (self.session(10), self.row(10))
        #expect(self.play(.load(client: nil), [.loaded(.live(session)), .row(row)]) == ["load", "row", "live 10"])
        #expect(self.play(.load(client: nil), [.loaded(.live(session))]) == ["load", "live 10"])
    }

    @Test mutating func withoutTheDatabaseMemcachedsWordCounts() {
        let failed = TierOperation.Answer.failed(mayHaveHappened: false)
        #expect(self.play(.load(client: nil), [.loaded(.none), failed]) == ["load", "row", "none"])
        #expect(self.play(.load(client: nil), [.loaded(.unavailable), failed]) == ["load", "row", "unavailable"])
    }

    @Test mutating func whatOnlyTheDatabaseSaysIsGoneEveryGatewayHears() {
        let steps = self.play(.load(client: nil), [.loaded(.unavailable), .row(self.tombstone), .changed(.applied)])
        #expect(steps == ["load", "row", "tombstone, due 0", "none"])
        let failed = TierOperation.Answer.failed(mayHaveHappened: true)
        let untold = self.play(.load(client: nil), [.loaded(.unavailable), .row(self.tombstone), failed])
        #expect(untold.last == "unavailable")
        var word = self.tombstone
        word.due = SessionRow.unplaced
        #expect(self.play(.load(client: nil), [.loaded(.unavailable), .row(word)]) == ["load", "row", "none"])
        // Memcached has heard of this one.
        self.memory.buriedInMemcached(self.tombstone, at: 1_000_000)
        #expect(self.play(.load(client: nil), [.loaded(.unavailable), .row(self.tombstone)]).last == "none")
    }

    @Test mutating func unknownIDsAreLimited() {
        for _ in 0..<10 { _ = self.play(.load(client: nil), [.loaded(.none), .row(nil)]) }
        #expect(self.play(.load(client: nil), [.loaded(.none)]) == ["load", "limited"])
    }

    @Test mutating func whatIsKnownOrNotAnsweredIsNotCounted() {
        let (row, session) = (self.row(10), self.session(10))
        for _ in 0..<100 {
            _ = self.play(.load(client: nil), [.loaded(.none), .row(row), .loaded(.live(session))])
            _ = self.play(.load(client: nil), [.loaded(.none), .failed(mayHaveHappened: false)])
        }
        #expect(self.memory.counts.limited == 0)
    }

    // MARK: Saves

    private func save(_ version: UInt64, isDurable: Bool = false) -> TierOperation.Goal {
        .save(self.session(10), proposal: self.record(version, after: [10]), isDurable: isDurable)
    }

    @Test mutating func aSaveWaitsForItsIntervalAndADurableOneDoesNot() {
        let saved = TierOperation.Answer.written(.saved(self.session(20, after: [10])))
        #expect(self.play(self.save(20), [saved]) == ["save 20", "saved"])
        #expect(self.memory.queue.count == 1)
        let steps = self.play(self.save(20, isDurable: true), [saved, .changed(.applied)])
        #expect(steps == ["save 20", "upsert 20 over older, durable", "saved"])
        #expect(self.memory.queue.count == 0)
        let failed = TierOperation.Answer.failed(mayHaveHappened: false)
        #expect(self.play(self.save(20, isDurable: true), [saved, failed]).last == "degraded")
    }

    @Test mutating func aRowOfAnotherLineDoesNotMakeASaveDurable() {
        let saved = TierOperation.Answer.written(.saved(self.session(20, after: [10])))
        let refused = TierOperation.Answer.changed(.refused(current: WriteIdentity(version: 30, writer: 2)))
        let other = self.play(self.save(20, isDurable: true), [saved, refused, .row(self.row(30, after: [5]))])
        #expect(other.suffix(2) == ["row", "degraded"])
        let heir = self.play(self.save(20, isDurable: true), [saved, refused, .row(self.row(30, after: [20, 10]))])
        #expect(heir.suffix(2) == ["row", "saved"])
        // Destroyed, and memcached does not know.
        let gone = self.play(self.save(20, isDurable: true), [saved, .changed(.refused(current: nil))])
        #expect(gone.last == "unknown" && self.memory.unplaced == [self.key])
    }

    @Test mutating func withoutMemcachedTheDatabaseKeepsItAndMemcachedIsToHear() {
        let steps = self.play(self.save(20), mayReach: false, [.changed(.applied)])
        #expect(steps == ["upsert 20 over ancestors", "degraded"])
        #expect(self.memory.unplaced == [self.key] && self.memory.isBehind)
        let goal = TierOperation.Goal.create(proposal: self.record(5), isDurable: false)
        #expect(self.play(goal, mayReach: false, [.changed(.applied)]) == ["insert 5, due 0", "degraded"])
        // It went away in between.
        let refused = TierOperation.Answer.changed(.refused(current: WriteIdentity(version: 30, writer: 2)))
        let other = TierOperation.Answer.row(self.row(30, after: [5]))
        #expect(self.play(self.save(20), mayReach: false, [refused, other]).suffix(2) == ["row", "discarded"])
        #expect(
            self.play(self.save(20), [.written(.unavailable), refused, other]) == [
                "save 20", "upsert 20 over ancestors", "row", "discarded",
            ]
        )
        // Its answer was lost, it was read, and somebody has saved from it.
        let heir = TierOperation.Answer.row(self.row(30, after: [20, 10]))
        #expect(self.play(self.save(20), mayReach: false, [refused, heir]).last == "degraded")
        let gone = TierOperation.Answer.changed(.refused(current: nil))
        #expect(self.play(self.save(20), mayReach: false, [gone]).last == "discarded")
    }

    @Test mutating func aSaveByTheDatabaseAloneOverAnOldRowSaysWhatItLeavesBehind() {
        let loaded = self.play(.load(client: nil), [.loaded(.unavailable), .row(self.row(10, newest: 15))])
        // Whether it is lost nobody knows yet.
        #expect(loaded.last == "live 10 degraded" && self.memory.counts.reverted == 0)
        var session = StoredSession(row: self.record(10), isDegraded: true)
        session.leavesBehind = 15
        // Else the row would say so once more, where the clock of whoever had that was ahead.
        #expect(session.newest == 15)
        let goal = TierOperation.Goal.save(session, proposal: self.record(20, after: [10]), isDurable: false)
        #expect(self.play(goal, mayReach: false, [.changed(.applied)]) == ["10 becomes 20", "degraded reverted"])
        #expect(self.memory.counts.reverted == 1)
        // From what waits here, and another gateway has told the row of more.
        self.memory.saved(self.record(10), self.key, isDue: false, at: 1_000_000)
        let later = self.play(goal, mayReach: false, [.changed(.applied)])
        #expect(later == ["upsert 20 over ancestors", "degraded reverted"])
    }

    @Test mutating func aSaveOfWhichNobodyKnowsLeavesAMark() {
        #expect(self.play(self.save(20), [.written(.unknown)]) == ["save 20", "unknown"])
        let batch = self.memory.nextBatch(limit: 10, at: 1_000_000, isLast: false)
        guard batch.count == 1, case .mark(self.key, newest: 20) = batch[0] else {
            Issue.record("\(batch)")
            return
        }
    }

    @Test mutating func whatMayBeInMemcachedIsNotDiscarded() {
        var operation = TierOperation(self.save(20), key: self.key)
        _ = operation.start(&self.memory, self.moment)
        let away = TierOperation.Moment(now: self.moment.now, mayReach: false)
        #expect(Self.name(operation.answered(.written(.unknown), &self.memory, away)).hasPrefix("upsert 20"))
        let refused = TierOperation.Answer.changed(.refused(current: WriteIdentity(version: 30, writer: 2)))
        #expect(Self.name(operation.answered(refused, &self.memory, away)) == "unknown")
        let batch = self.memory.nextBatch(limit: 10, at: 1_000_000, isLast: false)
        guard batch.count == 1, case .mark(self.key, newest: 20) = batch[0] else {
            Issue.record("\(batch)")
            return
        }
    }
}

extension StoredSession {
    /// As if another write had made it.
    mutating func setIdentity(_ identity: WriteIdentity) {
        self.loaded = self.loaded.changed { $0.identity = identity }
    }
}
