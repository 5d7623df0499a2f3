/// One load, save, create, destroy or repair of one key: says what to ask the servers, is told what they answered, and
/// ends with an outcome. No I/O, no clock, no chance of its own: all three come from outside, so that the same code
/// runs over sockets and in a simulation.
///
/// It is the proposer of a vote among the servers of the key, each of which keeps a promise and a record in one item
/// and changes it by compare-and-set. A record is **chosen** when every one of its holders has stored it. Only chosen
/// records are returned, acknowledged, or make another write `discarded`.
///
/// - A load asks r servers; where the highest record is held by all its holders, that is the answer.
/// - A save goes, from the record that was loaded, to all its holders at once; all stored, it is chosen.
/// - Everything else goes through `resolve`: read all, prepare a ballot on a quorum, accept the value that the
///   promises allow on r servers. See `ReplicaOperation+Resolve.swift`.
package struct ReplicaOperation: Sendable {
    package enum Goal: Sendable {
        case load
        /// A load that slides no expiry.
        case look
        /// Puts a record back that memcached has forgotten and the database has not. Several may do that at once, so it takes
        /// a prepared ballot; where there is a record after all, that one is the outcome.
        case restore(proposal: SessionRecord)
        /// - Parameters:
        ///   - base: what the caller loaded.
        ///   - proposal: the new record; its ancestors begin with the base.
        case save(base: LoadedRecord, proposal: SessionRecord)
        /// Of a fresh id: nobody else writes under this key.
        case create(proposal: SessionRecord)
        /// Whatever the version is.
        case destroy(identity: WriteIdentity)
        /// Background repair and walk: chosen anew, on the first r servers.
        case keep
        /// A save where fewer servers are left than an acknowledgement needs; never more than `degraded`.
        case saveDegraded(base: SessionRecord, proposal: SessionRecord)
        case createDegraded(proposal: SessionRecord)

        /// What is left to try where too few servers were reached for this one, if fewer copies are better than none.
        package var degraded: Goal? {
            switch self {
            case .save(let base, let proposal): .saveDegraded(base: base.record, proposal: proposal)
            case .create(let proposal): .createDegraded(proposal: proposal)
            case .load, .look, .restore, .destroy, .keep, .saveDegraded, .createDegraded: nil
            }
        }
    }

    enum Phase: Sendable {
        case idle
        /// A load's first question, to r servers, and its second, to the rest.
        case loading(isFirst: Bool)
        /// Completing somebody's half-done fast write.
        case helping(SessionRecord)
        /// The fast save, create, or the write of a degraded one.
        case writing(SessionRecord)
        case resolving
        case preparing(Ballot)
        case accepting(SessionRecord)
        case backingOff
        case finished
    }

    static let maximumTries = 12
    static let firstBackOff: Duration = .microseconds(200)

    let goal: Goal
    let set: ReplicaLayout
    var phase: Phase = .idle
    var observations: Observations
    /// Positions asked in the present phase whose answer is due.
    var pending: Positions = []
    /// Positions that stored the present phase's write, and the tokens they gave back.
    var stored: [ReplicaToken?]
    /// Positions whose server cannot keep what this operation writes: as good as down for the rest of it.
    private(set) var declining: Positions = []
    var tries = 0
    /// Whether the proposal was ever sent to a server: then it may be read one day, and is not `discarded` lightly.
    var isProposalSent = false
    /// What was seen last where no value decoded.
    var ruins: [ReplicaToken]?
    /// What was seen last where too many servers had lost their copy.
    var gaps: [Observations.Gap]?
    /// By position, what a load has touched and may not return.
    var touched: [Int: Observations.Seen] = [:]
    /// Positions asked first by a load.
    var askedFirst: Positions = []
    private var call = ReplicaCall(number: 0)

    package init(_ goal: Goal, on set: ReplicaLayout) {
        self.goal = goal
        self.set = set
        self.observations = Observations(count: set.count)
        self.stored = Array(filledWith: nil, count: set.count)
    }

    // MARK: What happened

    package mutating func start(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        switch self.goal {
        case .load, .look:
            return self.startLoad(&surroundings)
        case .save(let base, let proposal):
            return self.startSave(base, proposal, &surroundings)
        case .create(let proposal):
            return self.startCreate(proposal, depth: 0, &surroundings)
        case .createDegraded(let proposal):
            return self.startCreate(proposal, depth: 1, &surroundings)
        case .destroy, .keep, .saveDegraded, .restore:
            return self.readAll(&surroundings)
        }
    }

    /// - Parameter call: as it was given out with the command. Answers to an earlier stage are ignored: whatever they
    ///   did is found by reading.
    package mutating func answered(
        _ answer: ReplicaAnswer,
        by position: Int,
        to call: ReplicaCall,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        guard call == self.call, self.pending.contains(position) else { return [] }
        self.pending.remove(position)
        if case .stored(let token) = answer {
            self.stored[position] = token
        } else {
            if answer == .declined { self.declining.insert(position) }
            self.observations.note(answer, at: position)
        }
        switch self.phase {
        case .loading(let isFirst):
            return self.loadAnswered(isFirst: isFirst, &surroundings)
        case .helping(let record):
            return self.helpAnswered(record, &surroundings)
        case .writing(let record):
            return self.writeAnswered(record, &surroundings)
        case .resolving:
            return self.pending.isEmpty ? self.decide(&surroundings) : []
        case .preparing(let ballot):
            return self.pending.isEmpty ? self.prepared(ballot, &surroundings) : []
        case .accepting(let record):
            return self.acceptAnswered(record, &surroundings)
        case .idle, .backingOff, .finished:
            return []
        }
    }

    package mutating func backOffElapsed(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        guard case .backingOff = self.phase else { return [] }
        return self.readAll(&surroundings)
    }

    /// The time of the whole operation is over.
    package mutating func deadlinePassed() -> [ReplicaStep] {
        self.giveUp(mayTryDegraded: false)
    }

    // MARK: Asking

    /// Begins a stage: answers to what was asked before do not count any more.
    mutating func nextCall() -> ReplicaCall {
        self.call = ReplicaCall(number: self.call.number &+ 1)
        self.pending = []
        for position in self.stored.indices {
            self.stored[position] = nil
        }
        return self.call
    }

    /// Asks these positions in the present stage.
    mutating func ask(_ positions: Positions, touch: Bool, call: ReplicaCall) -> [ReplicaStep] {
        self.pending = self.pending.union(positions)
        return positions.map { .send(.read(touch: touch), to: $0, call: call) }
    }

    /// The positions that stored the present stage's write.
    var storedPositions: Positions {
        var result: Positions = []
        for (position, token) in self.stored.enumerated() where token != nil {
            result.insert(position)
        }
        return result
    }

    // MARK: Ending

    mutating func finish(_ outcome: ReplicaOutcome) -> [ReplicaStep] {
        if case .finished = self.phase { return [] }
        self.phase = .finished
        self.pending = []
        return self.touched.isEmpty ? [.finish(outcome)] : self.restoreLifetimes(outcome) + [.finish(outcome)]
    }

    /// Ends without an answer that holds: too few servers, too many tries, or no time left.
    mutating func giveUp(mayTryDegraded: Bool) -> [ReplicaStep] {
        let best = self.observations.highest.map {
            LoadedRecord(record: $0, tokens: self.observations.tokens(for: $0), needsRepair: true)
        }
        switch self.goal {
        case .load, .look, .restore, .keep:
            return self.finish(.unavailable(best: best))
        case .save, .create:
            return self.finish(
                mayTryDegraded ? .unavailable(best: best, mayBeWritten: self.isProposalSent) : .unknown
            )
        case .destroy, .saveDegraded, .createDegraded:
            return self.finish(.unknown)
        }
    }

    /// The proposal of a save or create.
    var proposal: SessionRecord? {
        switch self.goal {
        case .save(_, let proposal), .create(let proposal), .saveDegraded(_, let proposal),
            .createDegraded(let proposal), .restore(let proposal):
            proposal
        case .load, .look, .destroy, .keep:
            nil
        }
    }
}
