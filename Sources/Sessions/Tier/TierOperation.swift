package import NIOCore

/// One load, save, creation or destruction of a session that is in memcached with a database behind it: says what to ask
/// which of them, is told what was answered, and ends with an outcome. No I/O, no clock: the same code runs in a gateway
/// and in the simulation.
///
/// Memcached is asked first. What it forgets is put back from the database, and while it cannot be asked the database
/// serves alone, marked as degraded; what it then learns memcached is told as soon as it can be.
package struct TierOperation: Sendable {
    package enum Goal: Sendable {
        /// - Parameter client: who asks, for the limit of unknown ids.
        case load(client: ByteBufferView?)
        /// - Parameter proposal: the same record for memcached and the database, whoever gets it.
        case save(StoredSession, proposal: SessionRecord, isDurable: Bool)
        case create(proposal: SessionRecord, isDurable: Bool)
        /// Whatever the version is.
        case destroy
    }

    package enum Step: Sendable {
        case loadReplicas
        /// Puts back what memcached has forgotten; where it has not, what is there is the outcome.
        case restore(SessionRecord)
        /// A save or creation that as many servers take as an acknowledgement needs.
        case writeReplicas(ReplicaOperation.Goal)
        /// What is left of it: on the servers that can be reached. Answered by `written`.
        case writeFewReplicas(ReplicaOperation.Goal)
        /// In both at once; answered by `buried`.
        case bury(SessionRow)
        case loadRow
        case write(RowChange, isDurable: Bool)
        case finishLoad(SessionLoadOutcome)
        case finishWrite(SessionWriteOutcome)
        case finishDestroy(SessionDestroyOutcome)
    }

    package enum Answer: Sendable {
        case loaded(SessionLoadOutcome)
        case written(SessionWriteOutcome)
        /// Of `writeReplicas`.
        /// - Parameter mayBeWritten: a server may have got it.
        case tooFewReplicas(mayBeWritten: Bool)
        case buried(inMemcached: Bool, inDatabase: Bool)
        case row(SessionRow?)
        case changed(RowChangeResult)
        /// By the database.
        case failed(mayHaveHappened: Bool)
    }

    /// What is so at the moment of an answer.
    package struct Moment: Sendable {
        /// By the gateway's clock.
        package var now: SessionRecord.Timestamp
        /// Whether any memcached of the session is up, as far as one can tell at once.
        package var mayReach: Bool

        package init(now: SessionRecord.Timestamp, mayReach: Bool) {
            self.now = now
            self.mayReach = mayReach
        }
    }

    enum State: Sendable {
        case idle
        case askingMemcached
        /// Memcached has it, and the database may know better.
        case comparing(StoredSession)
        /// The database, by its row, knows of a newer state than memcached had, which may have come since.
        /// - Parameter waiting: here, when memcached was asked.
        case askingAgain(SessionRow?, waiting: WriteIdentity?)
        /// More was acknowledged, or may have been, than the row or what waits here has, and memcached had nothing: has it still?
        case makingSure(SessionRow?, waiting: WriteIdentity?)
        /// The row's state goes to memcached, which has an older one.
        case placing(SessionRow, hasGoneBack: Bool)
        /// Somebody has gone on from what memcached had; that the session went back is still to be said.
        case overtaken(SessionRow)
        /// - Parameter isAlone: memcached cannot be asked.
        case searching(isAlone: Bool)
        /// The row gets a version above all that is known of what is lost.
        /// - Parameter over: what memcached has.
        case goingBack(SessionRow, over: StoredSession?)
        case restoring(SessionRow, hasGoneBack: Bool)
        case saving(StoredSession, SessionRecord, isDurable: Bool, isDue: Bool)
        case creating(SessionRecord, isDurable: Bool)
        case keeping(StoredSession, isDurable: Bool)
        /// The database did not take a durable save: does it have what was made of it?
        case confirming(StoredSession)
        /// - Parameter few: how the servers that can be reached get it afterwards.
        case writingAlone(SessionRecord, few: ReplicaOperation.Goal?)
        /// The row is another write: was it made of this one?
        case disputing(SessionRecord)
        /// - Parameter kept: as the database has it; nil where it did not answer.
        case writingFew(SessionRecord, kept: StoredSession?)
        case burying(SessionRow)
        /// The row is to tell every gateway that the session is destroyed.
        case leavingWord(SessionRow)
        case markingLoss
        case finished
    }

    let key: SessionKey
    package let goal: Goal
    var state = State.idle
    /// Of the search for a row that somebody else keeps changing, or of what memcached has beside it.
    var searches = 0
    /// The change of the row that is under way.
    var change: RowChange?
    /// A look into the database that was admitted, until it is known whose the id is.
    var look: UnknownIDLimit.Look?
    /// Whether memcached may have got the proposal, without saying so.
    var mayBeInMemcached = false

    static let maximumSearches = 3

    package init(_ goal: Goal, key: SessionKey) {
        self.goal = goal
        self.key = key
    }

    package mutating func start(_ memory: inout TierMemory, _ moment: Moment) -> Step {
        switch self.goal {
        case .load:
            self.state = .askingMemcached
            return .loadReplicas
        case .save(let session, let proposal, let isDurable):
            return self.startSave(session, proposal, isDurable: isDurable, &memory, moment)
        case .create(let proposal, let isDurable):
            return self.startCreate(proposal, isDurable: isDurable, &memory, moment)
        case .destroy:
            return self.bury(memory.tombstone(self.key, at: moment.now))
        }
    }

    package mutating func answered(_ answer: Answer, _ memory: inout TierMemory, _ moment: Moment) -> Step {
        self.count(answer, &memory)
        switch self.goal {
        case .load(let client): return self.loadAnswered(answer, client, &memory, moment)
        case .save, .create: return self.writeAnswered(answer, &memory, moment)
        case .destroy: return self.destroyAnswered(answer, &memory, moment)
        }
    }

    private func count(_ answer: Answer, _ memory: inout TierMemory) {
        switch answer {
        case .row: memory.counts.reads += 1
        case .changed, .buried: memory.counts.writes += 1
        case .failed: memory.counts.failures += 1
        case .loaded, .written, .tooFewReplicas: break
        }
    }

    // MARK: Ends

    /// The database has answered a search.
    mutating func settleLook(_ answer: Answer, _ memory: inout TierMemory, _ moment: Moment) {
        guard let look = self.look else { return }
        var isKnown = true
        if case .row(nil) = answer { isKnown = memory.queue.waiting(self.key) != nil }
        memory.settle(look, isKnown: isKnown, at: moment.now)
        self.look = nil
    }

    mutating func endLoad(_ outcome: SessionLoadOutcome) -> Step {
        self.state = .finished
        return .finishLoad(outcome)
    }

    mutating func endWrite(_ outcome: SessionWriteOutcome) -> Step {
        self.state = .finished
        return .finishWrite(outcome)
    }

    mutating func endDestroy(_ outcome: SessionDestroyOutcome) -> Step {
        self.state = .finished
        return .finishDestroy(outcome)
    }

    mutating func write(_ change: RowChange, isDurable: Bool = false) -> Step {
        self.change = change
        return .write(change, isDurable: isDurable)
    }

    // MARK: Destroying

    /// Until memcached has heard of it the row tells every gateway.
    mutating func bury(_ row: SessionRow) -> Step {
        var word = row
        word.due = SessionRow.unplaced
        self.state = .burying(word)
        return .bury(word)
    }

    /// In both. Either is enough for an answer, and the other one gets it as soon as it can be asked; with neither there
    /// is none.
    private mutating func destroyAnswered(_ answer: Answer, _ memory: inout TierMemory, _ moment: Moment) -> Step {
        switch (self.state, answer) {
        case (.burying(let row), .buried(let isInMemcached, let isInDatabase)):
            if isInDatabase { memory.written(.tombstone(row)) } else { memory.counts.failures += 1 }
            switch (isInMemcached, isInDatabase) {
            case (true, true):
                memory.buried(row)
                return self.endDestroy(.destroyed)
            case (true, false):
                // With memcached it would be forgotten if nothing told the database.
                let isKept = memory.buriedInMemcached(row, at: moment.now)
                return self.endDestroy(isKept ? .destroyed : .unknown)
            case (false, true):
                // Every gateway hears of it, also when this one is no more.
                return self.endDestroy(.destroyed)
            case (false, false):
                return self.endDestroy(.unknown)
            }
        default:
            return self.endDestroy(.unknown)
        }
    }
}
