import Testing

@testable import Sessions

/// After memcached has forgotten.
extension TierOperationTests {
    @Test mutating func whileMemcachedHasJustForgottenItsWordAloneEndsNoSession() {
        let failed = TierOperation.Answer.failed(mayHaveHappened: false)
        self.memory.memcachedHasForgotten(at: 1_000_000)
        #expect(self.play(.load(client: nil), [.loaded(.none), failed]) == ["load", "row", "unavailable"])
        // The database's word counts, of whoever comes with an id that nobody knows.
        #expect(self.play(.load(client: nil), [.loaded(.none), .row(nil)]) == ["load", "row", "none"])
        // Whoever has been here since has been put back.
        self.memory.memcachedHasForgotten(at: 0)
        let later = TierOperation.Moment(now: 1_440_000, mayReach: true)
        var operation = TierOperation(.load(client: nil), key: self.key)
        _ = operation.start(&self.memory, later)
        _ = operation.answered(.loaded(.none), &self.memory, later)
        #expect(Self.name(operation.answered(failed, &self.memory, later)) == "none")
    }

    @Test mutating func whileMemcachedHasJustForgottenWhatTooFewServersHaveIsNotGoneOnFromUnasked() {
        let failed = TierOperation.Answer.failed(mayHaveHappened: false)
        let few = TierOperation.Answer.loaded(.live(self.session(10, isDegraded: true)))
        // Requests go on from what there is, the database being away.
        #expect(self.play(.load(client: nil), [few, failed]) == ["load", "row", "live 10 degraded"])
        self.memory.memcachedHasForgotten(at: 1_000_000)
        // But what there is may be older than what the database has alone.
        #expect(self.play(.load(client: nil), [few, failed]) == ["load", "row", "unavailable"])
        #expect(self.play(.load(client: nil), [few, .row(self.row(15))]).last == "live 15 degraded")
    }

    private var save: TierOperation.Goal {
        .save(self.session(10), proposal: self.record(20, after: [10]), isDurable: false)
    }

    /// What the servers that are left have may be older than what the row has alone, so it is asked before they are told.
    @Test mutating func tooFewServersAreToldOnlyWhatTheRowHasTaken() {
        let few = TierOperation.Answer.tooFewReplicas(mayBeWritten: false)
        let written = TierOperation.Answer.written(.degraded(self.session(20, after: [10], isDegraded: true)))
        let steps = ["save 20", "upsert 20 over ancestors"]
        let applied = self.play(self.save, [few, .changed(.applied), written])
        #expect(applied == steps + ["save 20 on few", "degraded"])
        // Whatever becomes of it there: the row has it.
        let lost = self.play(self.save, [few, .changed(.applied), .written(.unknown)])
        #expect(lost == steps + ["save 20 on few", "degraded"])
        #expect(self.memory.unplaced == [self.key] && self.memory.queue.count == 0)

        let other = TierOperation.Answer.changed(.refused(current: WriteIdentity(version: 15, writer: 2)))
        let row = TierOperation.Answer.row(self.row(15, after: [5]))
        #expect(self.play(self.save, [few, other, row]) == steps + ["row", "discarded"])
        // The row is what memcached has not gone on from: not, while memcached may have forgotten that it did.
        let old = TierOperation.Answer.changed(.refused(current: WriteIdentity(version: 9, writer: 2)))
        #expect(self.play(self.save, [few, old, written]) == steps + ["save 20 on few", "degraded"])
        let sent = TierOperation.Answer.tooFewReplicas(mayBeWritten: true)
        #expect(self.play(self.save, [sent, other]) == steps + ["unknown"])

        let creation = TierOperation.Goal.create(proposal: self.record(5), isDurable: false)
        let created = self.play(creation, [few, .changed(.applied), written])
        #expect(created == ["create 5", "insert 5, due 0", "create 5 on few", "degraded"])
    }

    @Test mutating func withoutTheDatabaseTooFewServersAreToldUnlessTheyHaveJustForgotten() {
        let few = TierOperation.Answer.tooFewReplicas(mayBeWritten: false)
        let failed = TierOperation.Answer.failed(mayHaveHappened: false)
        let written = TierOperation.Answer.written(.degraded(self.session(20, after: [10], isDegraded: true)))
        let steps = ["save 20", "upsert 20 over ancestors"]
        #expect(self.play(self.save, [few, failed, written]) == steps + ["save 20 on few", "degraded"])
        // The row gets it later.
        #expect(self.memory.queue.waiting(self.key)?.record.identity.version == 20)
        #expect(self.play(self.save, [few, failed, .written(.unknown)]).last == "unknown")

        self.memory.memcachedHasForgotten(at: self.moment.now)
        #expect(self.play(self.save, [few, failed]) == steps + ["unavailable"])
        #expect(self.play(self.save, [few, .failed(mayHaveHappened: true)]) == steps + ["unknown"])
        let sent = TierOperation.Answer.tooFewReplicas(mayBeWritten: true)
        #expect(self.play(self.save, [sent, failed]) == steps + ["unknown"])
    }

    /// Found by the simulation: a save that had reached one server was completed by the one that put the row over what it came from.
    @Test mutating func whereSomebodyHasGoneOnMeanwhileThatIsTheSession() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (old, row, new) = (self.session(10), self.row(15, after: [10]), self.session(20, after: [10]))
        let answers: [TierOperation.Answer] = [
            .loaded(.live(old)), .row(row), .loaded(.live(old)), .written(.discarded(winner: 20)), .loaded(.live(new)),
        ]
        #expect(self.play(.load(client: nil), answers) == ["load", "row", "load", "save 15", "load", "row"])
        #expect(self.play(.load(client: nil), answers + [.row(row)]).last == "live 20")
    }

    @Test mutating func whatIsLostIsSaidAlsoWhereAnOlderCopyIsLeft() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (old, row) = (self.session(10), self.row(15, after: [10], newest: 2_000_000_000))
        let again: [TierOperation.Answer] = [.loaded(.live(old)), .row(row), .loaded(.live(old))]
        var next = self.session(15, after: [10])
        next.setIdentity(WriteIdentity(version: 2_000_000_002, writer: 1))
        let steps = self.play(.load(client: nil), again + [.changed(.applied), .written(.saved(next))])
        #expect(
            steps == [
                "load", "row", "load", "15 becomes 2000000002", "save 2000000002", "live 15 reverted",
            ]
        )
        #expect(self.memory.counts.reverted == 1)
        // Once.
        #expect(self.play(.load(client: nil), [.loaded(.live(next))]) == ["load", "live 15"])
    }

    /// In the moment between: what memcached has then is the session, and the row has been told.
    @Test mutating func whereSomebodyHasGoneOnFromAnOlderCopyTheLossIsStillSaid() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (old, row) = (self.session(10), self.row(15, after: [10], newest: 20))
        let again: [TierOperation.Answer] = [
            .loaded(.live(old)), .row(row), .loaded(.live(old)), .changed(.applied), .written(.discarded(winner: 30)),
        ]
        let found = self.play(.load(client: nil), again + [.loaded(.live(self.session(30, after: [10])))])
        #expect(found.suffix(2) == ["load", "live 30 reverted"])
        let unavailable = self.play(.load(client: nil), again + [.loaded(.unavailable)])
        #expect(unavailable.suffix(2) == ["load", "live 15 degraded reverted"])
        // Evicted, or lost once more; a tombstone would say so now.
        #expect(self.play(.load(client: nil), again + [.loaded(.none)]).last == "restore 15")
    }

    /// A copy of a save that was never acknowledged, on a server that was no holder: by it a session that had been chosen, and is in
    /// the row, would be lost.
    @Test mutating func whereMemcachedHasForgottenARowThatWasChosenCounts() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let stray = TierOperation.Answer.loaded(.live(self.session(12, after: [10])))
        var row = self.row(15, after: [11, 10])
        #expect(self.play(.load(client: nil), [stray, .row(row), stray]).last == "save 15")
        // What only the database was told came from a state that others have gone on from.
        row.due = SessionRow.unplaced
        #expect(self.play(.load(client: nil), [stray, .row(row), stray]).last == "live 12")
    }

    @Test mutating func whatTheRowIsOlderThanAndMemcachedTooIsLost() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (left, row) = (self.session(15), self.row(10, newest: 2_000_000_000))
        let again: [TierOperation.Answer] = [.loaded(.live(left)), .row(row), .loaded(.live(left))]
        let steps = self.play(.load(client: nil), again + [.changed(.applied), .written(.saved(left))])
        #expect(steps.suffix(3) == ["10 becomes 2000000002", "save 2000000002", "live 15 reverted"])
    }

    @Test mutating func whatWasSavedSinceItWasReadIsNotLost() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (old, new, row) = (self.session(10), self.session(20, after: [10]), self.row(10, newest: 20))
        let steps = self.play(.load(client: nil), [.loaded(.live(old)), .row(row), .loaded(.live(new))])
        #expect(steps == ["load", "row", "load", "live 20"])
        #expect(self.memory.counts.reverted == 0)
    }

    @Test mutating func whatWaitsHereIsNewerThanAnOldCopy() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        self.memory.saved(self.record(20, after: [15, 10]), self.key, isDue: false, at: 1_000_000)
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let (old, row) = (self.session(10), self.row(15, after: [10], newest: 20))
        let steps = self.play(.load(client: nil), [.loaded(.live(old)), .row(row), .loaded(.live(old))])
        #expect(steps.last == "save 20")
    }

    /// After memcached had been asked, even for the second time.
    @Test mutating func whatIsSavedHereMeanwhileIsNotLost() {
        let (row, old) = (self.row(10, newest: 15), self.session(15, after: [10]))
        for (first, second) in [(TierOperation.Answer.loaded(.none), nil), (.loaded(.live(self.session(10))), old)] {
            self.memory.memcachedHasForgotten(at: second == nil ? 0 : 1_000_000)
            var operation = TierOperation(.load(client: nil), key: self.key)
            _ = operation.start(&self.memory, self.moment)
            _ = operation.answered(first, &self.memory, self.moment)
            #expect(Self.name(operation.answered(.row(row), &self.memory, self.moment)) == "load")
            // On top of another gateway's, which may have more.
            self.memory.saved(self.record(20, after: [15], of: 2), self.key, isDue: false, at: 1_000_000)
            let again = TierOperation.Answer.loaded(second.map { .live($0) } ?? .none)
            #expect(
                Self.name(operation.answered(again, &self.memory, self.moment)) == (second == nil ? "load" : "live 15")
            )
            self.memory.written(.upsert(self.row(20)))
        }
    }

    /// Nobody knows what it acknowledged on top of what waits here: it may be dead.
    @Test mutating func whatAnotherGatewayMayHaveSavedIsLostWithMemcached() {
        self.memory.saved(self.record(20, after: [10], of: 2), self.key, isDue: false, at: 1_000_000)
        var row = self.row(10, newest: 15)
        row.record.identity.writer = 2
        let answers: [TierOperation.Answer] = [.loaded(.none), .row(row), .loaded(.none), .changed(.applied)]
        let steps = self.play(.load(client: nil), answers)
        #expect(steps.prefix(3) == ["load", "row", "load"] && steps[3].hasPrefix("10 becomes"))
        #expect(steps.last == "restore 20" && self.memory.counts.reverted == 1)
        #expect(self.memory.queue.count == 0)
        // Where memcached has it, or cannot be asked, nothing is said.
        self.memory.saved(self.record(20, after: [10], of: 2), self.key, isDue: false, at: 1_000_000)
        let found = TierOperation.Answer.loaded(.live(self.session(20)))
        #expect(self.play(.load(client: nil), [.loaded(.none), .row(row), found]).last == "live 20")
        #expect(self.play(.load(client: nil), [.loaded(.unavailable), .row(row)]).last == "live 20 degraded")
        #expect(self.memory.counts.reverted == 1)
    }

    @Test mutating func whatAnotherGatewayMayHaveSavedIsLostAlsoWhereThereIsNoRowYet() {
        self.memory.saved(self.record(20, after: [10], of: 2), self.key, isDue: false, at: 1_000_000)
        let answers: [TierOperation.Answer] = [.loaded(.none), .row(nil), .loaded(.none)]
        var steps = self.play(.load(client: nil), answers + [.changed(.applied)])
        #expect(steps[3].hasPrefix("insert") && steps.last == "restore 20")
        // Somebody else was first.
        self.memory.saved(self.record(20, after: [10], of: 2), self.key, isDue: false, at: 1_000_000)
        let next = self.row(30, after: [20])
        let refused = TierOperation.Answer.changed(.refused(current: next.record.identity))
        steps = self.play(.load(client: nil), answers + [refused, .row(next)])
        #expect(steps.suffix(2) == ["row", "restore 30"] && self.memory.counts.reverted == 1)
    }

    @Test mutating func aSessionThatIsDestroyedMeanwhileDoesNotGoBack() {
        var operation = TierOperation(.load(client: nil), key: self.key)
        _ = operation.start(&self.memory, self.moment)
        _ = operation.answered(.loaded(.none), &self.memory, self.moment)
        let row = TierOperation.Answer.row(self.row(10, newest: 15))
        #expect(Self.name(operation.answered(row, &self.memory, self.moment)) == "load")
        // Memcached has heard of it, and the database could not be told.
        self.memory.buriedInMemcached(self.tombstone, at: self.moment.now)
        #expect(Self.name(operation.answered(.loaded(.none), &self.memory, self.moment)) == "none")
        #expect(self.memory.queue.waiting(self.key)?.record.isTombstone == true)
    }

    @Test mutating func whoeverSavesAfterASessionWentBackSeesThatItsRowWasWritten() {
        var operation = TierOperation(.load(client: nil), key: self.key)
        _ = operation.start(&self.memory, self.moment)
        var steps: [TierOperation.Step] = []
        for answer in [.loaded(.none), .row(self.row(10, newest: 15)), .loaded(.none)] as [TierOperation.Answer] {
            steps.append(operation.answered(answer, &self.memory, self.moment))
        }
        guard case .write(.compareAndSave(let row, _), _)? = steps.last else {
            Issue.record("\(steps.map(Self.name))")
            return
        }
        #expect(row.record.databaseSynced == self.moment.now && row.synced == self.moment.now)
    }

    /// Two requests at once, of which the other one has put it back, or its turn to be written has come.
    @Test mutating func whatWaitedAndIsInTheRowByNowIsLookedForThere() {
        self.memory.saved(self.record(20, after: [10], of: 2), self.key, isDue: false, at: 1_000_000)
        var operation = TierOperation(.load(client: nil), key: self.key)
        var steps = [operation.start(&self.memory, self.moment)]
        for answer in [.loaded(.none), .row(nil)] as [TierOperation.Answer] {
            steps.append(operation.answered(answer, &self.memory, self.moment))
        }
        #expect(steps.map(Self.name) == ["load", "row", "load"])
        self.memory.written(.upsert(self.row(20)))
        #expect(Self.name(operation.answered(.loaded(.none), &self.memory, self.moment)) == "row")
        let row = TierOperation.Answer.row(self.row(30, after: [20]))
        #expect(Self.name(operation.answered(row, &self.memory, self.moment)) == "restore 30")
    }

    @Test mutating func anOldCopyIsNoSignThatNothingNewerIsLost() {
        self.memory.memcachedHasForgotten(at: 1_000_000)
        self.memory.saved(self.record(20, after: [15], of: 2), self.key, isDue: false, at: 1_000_000)
        self.memory.memcachedHasForgotten(at: 1_000_000)
        var row = self.row(15, newest: 18)
        row.record.identity.writer = 2
        var old = self.session(15)
        old.setIdentity(WriteIdentity(version: old.version, writer: 2))
        let again: [TierOperation.Answer] = [.loaded(.live(old)), .row(row), .loaded(.live(old))]
        let steps = self.play(.load(client: nil), again + [.changed(.applied), .written(.saved(self.session(20)))])
        #expect(steps.last == "live 20 reverted")
        // But what memcached has of this gateway's is all that there may be.
        self.memory.saved(self.record(40, after: [30], of: 2), self.key, isDue: false, at: 1_000_000)
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let found = self.play(.load(client: nil), [.loaded(.live(self.session(40))), .row(row)])
        #expect(found == ["load", "row", "live 40"])
    }

    @Test mutating func aRowThatMayBeOldIsWhereMemcachedHasNothing() {
        var row = self.row(20)
        row.newest = row.maybeNewer
        let nothing: [TierOperation.Answer] = [.loaded(.none), .row(row), .loaded(.none), .changed(.applied)]
        #expect(self.play(.load(client: nil), nothing).last == "restore 20" && self.memory.counts.reverted == 1)
        self.memory.memcachedHasForgotten(at: 1_000_000)
        let found = self.play(.load(client: nil), [.loaded(.live(self.session(20))), .row(row)])
        #expect(found == ["load", "row", "live 20"])
        // Nor does a save by the database alone leave anything behind for certain.
        var operation = TierOperation(.load(client: nil), key: self.key)
        _ = operation.start(&self.memory, self.moment)
        _ = operation.answered(.loaded(.unavailable), &self.memory, self.moment)
        guard case .finishLoad(.live(let session)) = operation.answered(.row(row), &self.memory, self.moment) else {
            Issue.record("it is not served")
            return
        }
        #expect(session.leavesBehind == nil)
    }

    @Test mutating func whatWaitsMayBeOldAlsoWhereTheDatabaseIsAway() {
        self.memory.saved(self.record(20, after: [10], of: 2), self.key, isDue: false, at: 1_000_000)
        let failed = TierOperation.Answer.failed(mayHaveHappened: false)
        let answers: [TierOperation.Answer] = [.loaded(.none), failed, .loaded(.none), failed]
        #expect(self.play(.load(client: nil), answers + [.loaded(.live(self.session(20)))]).last == "live 20 reverted")
    }

    @Test mutating func readsWithoutMemcachedSlideTheExpiryToo() {
        let row = self.row(10)
        _ = self.play(.load(client: nil), [.loaded(.unavailable), .row(row)])
        #expect(self.memory.touches.expiry(of: self.key) == 1_000_000 + 1_440_000)
        self.memory.touches.forget(self.key)
        let degraded = self.session(10, isDegraded: true)
        _ = self.play(.load(client: nil), [.loaded(.live(degraded)), .row(row)])
        #expect(self.memory.touches.expiry(of: self.key) == 1_000_000 + 1_440_000)
        // It need not have been acknowledged.
        #expect(self.memory.touches.batch(limit: 1).map(\.newest) == [0])
    }

    @Test mutating func anExpiryThatTheDatabaseDoesNotKnowYetCounts() {
        var row = self.row(10)
        row.expires = 999_000
        #expect(self.play(.load(client: nil), [.loaded(.none), .row(row)]).last == "none")
        self.memory.seen(row.record, self.key, at: 999_000)
        #expect(self.play(.load(client: nil), [.loaded(.none), .row(row)]).last == "restore 10")
    }
}
