extension ReplicaOperation {
    /// The fast save: from what was loaded to all its holders at once. Chosen if all store it: they all were
    /// unpromised, and whoever prepares a ballot meets one of them.
    mutating func startSave(
        _ base: LoadedRecord,
        _ proposal: SessionRecord,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        let (round, overflows) = base.record.accepted.round.addingReportingOverflow(1)
        guard
            base.isUnpromised, base.record.placement == self.set.placement, base.tokens.count == self.set.count,
            !overflows, base.record.accepted.depth == 0,
            base.record.holders.isDisjoint(with: surroundings.heldDown)
        else {
            return self.readAll(&surroundings)
        }
        let record = proposal.accepted(
            Ballot(round: round, ballotClass: .fast, attempt: surroundings.randomNumber()),
            by: base.record.holders,
            of: self.set
        )
        self.phase = .writing(record)
        self.isProposalSent = true
        let call = self.nextCall()
        var steps: [ReplicaStep] = []
        steps.reserveCapacity(record.holders.count)
        for position in record.holders {
            guard let token = base.tokens[position] else { continue }
            self.pending.insert(position)
            steps.append(
                .send(.write(ReplicaCopy(accepted: record), .compareAndSet(token), .idle), to: position, call: call)
            )
        }
        return steps
    }

    /// A fresh id has one proposer: no read is needed.
    mutating func startCreate(
        _ proposal: SessionRecord,
        depth: UInt8,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        let up = self.set.all.subtracting(surroundings.heldDown)
        let available = self.set.firstHolders(among: up)
        guard depth > 0 ? !available.isEmpty : self.set.canHold(up) else {
            return self.giveUp(mayTryDegraded: true)
        }
        let record = proposal.accepted(
            Ballot(round: 1, ballotClass: .fast, depth: depth, attempt: surroundings.randomNumber()),
            by: available,
            of: self.set
        )
        self.phase = .writing(record)
        self.isProposalSent = true
        let call = self.nextCall()
        self.pending = available
        return available.map {
            .send(.write(ReplicaCopy(accepted: record), .add(nil), .idle), to: $0, call: call)
        }
    }

    /// A degraded write once the servers that are left have been read: in place, on those that hold what it was made
    /// from. A degraded create may have been there already.
    mutating func decideDegraded(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        guard let proposal = self.proposal, let highest = self.observations.highest else {
            return self.finish(.unknown)
        }
        if highest.identity == proposal.identity {
            let tokens = self.observations.tokens(for: highest)
            return self.finish(.degraded(LoadedRecord(record: highest, tokens: tokens, needsRepair: true)))
        }
        guard
            case .saveDegraded(let base, _) = self.goal, highest.identity == base.identity,
            let ballot = highest.accepted.nextDegraded(random: surroundings.randomNumber())
        else { return self.finish(.unknown) }
        // Positions of another ring mean nothing here.
        var holders = highest.holders
        if highest.placement != self.set.placement {
            holders = self.observations.holders(of: highest)
        }
        let record = proposal.accepted(ballot, by: holders, of: self.set)
        self.phase = .writing(record)
        self.isProposalSent = true
        let call = self.nextCall()
        var steps: [ReplicaStep] = []
        for position in self.set.all {
            guard let seen = self.observations.copy(at: position), self.observations.holds(highest, at: position) else {
                continue
            }
            self.pending.insert(position)
            // A promise above it stays: it only grows.
            let copy = ReplicaCopy(promised: max(seen.copy.promised, record.accepted), record: record)
            steps.append(.send(.write(copy, .compareAndSet(seen.token), .idle), to: position, call: call))
        }
        return steps
    }

    mutating func writeAnswered(
        _ record: SessionRecord,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        guard self.pending.isEmpty else { return [] }
        switch self.goal {
        case .saveDegraded, .createDegraded:
            let written = LoadedRecord(record: record, tokens: self.stored, needsRepair: true)
            return self.storedPositions.isEmpty ? self.retryDegraded(&surroundings) : self.finish(.degraded(written))
        case .load, .look, .save, .create, .restore, .destroy, .keep:
            guard self.storedPositions == record.holders else { return self.readAll(&surroundings) }
            return self.acknowledge(record, tokens: self.stored, &surroundings)
        }
    }

    /// The record is chosen and it is this operation's own: acknowledged, unless the operation is too old for that.
    mutating func acknowledge(
        _ record: SessionRecord,
        tokens: [ReplicaToken?],
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        guard surroundings.mayAcknowledge else { return self.finish(.unknown) }
        return self.finish(.chosen(LoadedRecord(record: record, tokens: tokens, needsRepair: false)))
    }

    /// Nothing was stored: reads what is there, the ordinary write that came before perhaps; once.
    private mutating func retryDegraded(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        self.tries < 2 ? self.readAll(&surroundings) : self.finish(.unknown)
    }
}

extension Ballot {
    /// Of a degraded write on top of this: above it, and below every record that a quorum can choose without having
    /// seen it. So in a fast record's own round, as that one may itself have reached a minority only, and a slow ballot
    /// of the round may pass it by. What was prepared is known to a quorum, which answers it from the next round on.
    ///
    /// Nil where the numbers are used up. Beyond 255 writes the attempt counts on.
    func nextDegraded(random: UInt64) -> Ballot? {
        if self.depth == .max {
            let (attempt, overflows) = self.attempt.addingReportingOverflow(random >> 32 + 1)
            return overflows ? nil : Ballot(round: self.round, ballotClass: .fast, depth: .max, attempt: attempt)
        }
        let (round, overflows) = self.round.addingReportingOverflow(self.ballotClass == .slow ? 1 : 0)
        return overflows ? nil : Ballot(round: round, ballotClass: .fast, depth: self.depth + 1, attempt: random)
    }
}

extension SessionRecord {
    /// This record under another ballot.
    func accepted(_ ballot: Ballot, by holders: Positions, of set: ReplicaLayout) -> SessionRecord {
        var record = self
        record.accepted = ballot
        record.holders = holders
        record.placement = set.placement
        return record
    }
}
