/// The slow way, taken whenever servers disagree, are missing, or somebody raced: read, decide, prepare, accept.
extension ReplicaOperation {
    /// Step 1: fresh answers from all servers that are not known to be down and have not declined a write.
    mutating func readAll(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        let available = self.set.all.subtracting(surroundings.heldDown).subtracting(self.declining)
        guard !available.isEmpty else { return self.giveUp(mayTryDegraded: true) }
        self.tries += 1
        self.phase = .resolving
        self.observations = Observations(count: self.set.count)
        let call = self.nextCall()
        return self.ask(available, touch: false, call: call)
    }

    /// Step 2: where the answers settle it, no write is needed.
    mutating func decide(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        switch self.goal {
        case .saveDegraded, .createDegraded:
            return self.decideDegraded(&surroundings)
        case .load, .look, .keep:
            if let ruins = self.observations.ruins, self.tries < Self.maximumTries {
                // The same values seen twice were there together, so nothing is left; once might have been in turn.
                if ruins == self.ruins { return self.finish(.none) }
                self.ruins = ruins
                return self.readAll(&surroundings)
            }
        case .save, .create, .restore, .destroy:
            break
        }
        guard self.set.isQuorum(self.observations.votes) else {
            if case .keep = self.goal, let gaps = self.observations.gaps, self.tries < Self.maximumTries {
                // As above: the same gaps seen twice were there together, so r servers have failed at a time.
                if gaps == self.gaps { return self.finish(.beyondRepair) }
                self.gaps = gaps
                return self.readAll(&surroundings)
            }
            return self.retry(&surroundings)
        }
        guard self.observations.highest != nil else { return self.nothingFound(&surroundings) }
        if let record = self.observations.chosenRecord(in: self.set),
            let steps = self.settled(by: record, &surroundings)
        {
            return steps
        }
        return self.prepare(&surroundings)
    }

    /// No server that votes has a record.
    private mutating func nothingFound(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        switch self.goal {
        case .load, .look, .keep:
            return self.finish(.none)
        case .create, .restore, .destroy:
            // Where there is nothing to destroy a tombstone still meets what is on its way: a session that another request puts
            // back, a first save that is late.
            return self.prepare(&surroundings)
        case .save, .saveDegraded, .createDegraded:
            // It expired, or all copies were evicted.
            let isSettled = !self.isProposalSent && surroundings.mayAcknowledge
            return self.finish(isSettled ? .discarded(winner: nil) : .unknown)
        }
    }

    /// What a chosen record means; nil where something is to be written.
    private mutating func settled(
        by record: SessionRecord,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep]? {
        switch self.goal {
        case .load, .look, .restore:
            return self.finish(self.loaded(record, tokens: self.observations.tokens(for: record)))
        case .save(let base, _) where record.identity == base.record.identity:
            return nil
        case .save, .create:
            return self.verdict(record, tokens: self.observations.tokens(for: record), &surroundings)
        case .destroy:
            guard record.isTombstone else { return nil }
            return self.finish(surroundings.mayAcknowledge ? .destroyed : .unknown)
        case .keep, .saveDegraded, .createDegraded:
            return nil
        }
    }

    /// Step 3: a ballot above all that was seen, promised by a quorum of the servers that vote. A server that has
    /// forgotten promises nothing: a stub there would count as a vote that there is nothing.
    private mutating func prepare(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        // A promise that no record can follow would only be in the way of the next fast save.
        guard self.set.canHold(self.observations.answered) else { return self.retry(&surroundings) }
        let (round, overflows) = self.observations.highestRound.addingReportingOverflow(1)
        // Unreachable by counting: such a record was made by hand. It stays as it is.
        guard !overflows else { return self.giveUp(mayTryDegraded: false) }
        let ballot = Ballot(round: round, ballotClass: .slow, attempt: surroundings.randomNumber())
        self.phase = .preparing(ballot)
        // Every vote is written anew, with its own time.
        self.touched = [:]
        let call = self.nextCall()
        return self.observations.votes.compactMap { position in
            let write: ReplicaCommand
            switch self.observations.slots[position] {
            case .copy(let seen):
                write = .write(
                    ReplicaCopy(promised: ballot, record: seen.copy.record),
                    .compareAndSet(seen.token),
                    self.promisedLifetime(of: seen)
                )
            case .absent(let connection, _):
                write = .write(
                    ReplicaCopy(promised: ballot, record: nil),
                    .add(connection),
                    .promise(seconds: 0)
                )
            case .silent, .corrupt:
                return nil
            }
            self.pending.insert(position)
            return .send(write, to: position, call: call)
        }
    }

    /// A record lives on as long as before: with a longer life it could outlast those that follow it, and be read again.
    private func promisedLifetime(of seen: Observations.Seen) -> CopyLifetime {
        switch seen.copy.record?.isTombstone {
        case nil: .promise(seconds: seen.secondsToLive)
        case true?: .tombstone
        case false?: .remaining(seconds: seen.secondsToLive)
        }
    }

    /// Step 4: the value. The highest record among those that promised may be chosen already, so it is kept; a new
    /// one is made only from it.
    mutating func prepared(_ ballot: Ballot, _ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        let promised = self.storedPositions
        guard self.set.isQuorum(promised) else { return self.retry(&surroundings) }
        let highest = self.observations.highest(among: promised)
        switch self.goal {
        case .load, .look, .keep:
            guard let highest else { return self.finish(.none) }
            return self.accept(highest, ballot, lifetime: self.keptLifetime(of: highest), &surroundings)
        case .save(let base, let proposal):
            guard let highest else { return self.nothingFound(&surroundings) }
            if highest.identity == base.record.identity {
                return self.accept(proposal, ballot, lifetime: .idle, &surroundings)
            }
            return self.accept(highest, ballot, lifetime: self.keptLifetime(of: highest), &surroundings)
        case .create(let proposal), .restore(let proposal):
            let lifetime = highest.map { self.keptLifetime(of: $0) } ?? .idle
            return self.accept(highest ?? proposal, ballot, lifetime: lifetime, &surroundings)
        case .destroy(let identity):
            let tombstone: SessionRecord
            if let highest {
                tombstone =
                    highest.isTombstone ? highest : highest.tombstone(identity: identity, now: surroundings.now)
            } else {
                tombstone = .tombstoneOfNothing(identity: identity, now: surroundings.now)
            }
            return self.accept(tombstone, ballot, lifetime: .tombstone, &surroundings)
        case .saveDegraded, .createDegraded:
            return self.finish(.unknown)
        }
    }

    /// A load slides the expiry, a repair leaves it.
    private func keptLifetime(of record: SessionRecord) -> CopyLifetime {
        if record.isTombstone { return .tombstone }
        if case .load = self.goal { return .idle }
        return .remaining(seconds: self.observations.secondsToLive(of: record))
    }

    /// Step 5: on the first r servers in ring order that promised or have forgotten. Chosen if all of them store it.
    private mutating func accept(
        _ value: SessionRecord,
        _ ballot: Ballot,
        lifetime: CopyLifetime,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        var conditions: [ReplicaCommand.Condition?] = self.stored.map { $0.map { .compareAndSet($0) } }
        for (position, slot) in self.observations.slots.enumerated() {
            switch slot {
            case .absent(let connection, isComplete: false):
                conditions[position] = .add(connection)
            case .corrupt(let token):
                conditions[position] = .compareAndSet(token)
            case .silent, .copy, .absent(_, isComplete: true):
                break
            }
        }
        var candidates: Positions = []
        for (position, condition) in conditions.enumerated() where condition != nil {
            candidates.insert(position)
        }
        guard let holders = self.set.holders(among: candidates) else { return self.retry(&surroundings) }
        var record = value.accepted(ballot, by: holders, of: self.set)
        if record.identity == self.proposal?.identity {
            self.isProposalSent = true
        } else if !record.isTombstone {
            // The age that `max_item_age` limits is that of the copies.
            record.written = surroundings.now
        }
        self.phase = .accepting(record)
        let call = self.nextCall()
        return holders.compactMap { position in
            conditions[position].map { condition in
                self.pending.insert(position)
                return .send(.write(ReplicaCopy(accepted: record), condition, lifetime), to: position, call: call)
            }
        }
    }

    mutating func acceptAnswered(
        _ record: SessionRecord,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        guard self.pending.isEmpty else { return [] }
        guard self.storedPositions == record.holders else { return self.retry(&surroundings) }
        let tokens = self.stored
        switch self.goal {
        case .load, .look, .restore:
            return self.finish(self.loaded(record, tokens: tokens))
        case .keep:
            if record.isTombstone { return self.finish(.none) }
            return self.finish(.chosen(LoadedRecord(record: record, tokens: tokens, needsRepair: false)))
        case .destroy:
            return self.finish(surroundings.mayAcknowledge ? .destroyed : .unknown)
        case .save, .create:
            return self.verdict(record, tokens: tokens, &surroundings)
        case .saveDegraded, .createDegraded:
            return self.finish(.unknown)
        }
    }

    /// Step 6: what a chosen record says of this operation's own.
    private mutating func verdict(
        _ chosen: SessionRecord,
        tokens: [ReplicaToken?],
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        guard let proposal = self.proposal else { return self.finish(.unknown) }
        guard surroundings.mayAcknowledge else { return self.finish(.unknown) }
        if chosen.identity == proposal.identity {
            return self.acknowledge(chosen, tokens: tokens, &surroundings)
        }
        if chosen.ancestors.contains(proposal.identity) {
            // Saved, and another write was made from it since: no token of this one is good any more.
            let own = LoadedRecord(
                record: proposal,
                tokens: Array(repeating: nil, count: self.set.count),
                needsRepair: false
            )
            return self.finish(.chosen(own))
        }
        if let base = proposal.base, chosen.ancestors.contains(base) {
            return self.finish(.discarded(winner: chosen.identity))
        }
        return self.finish(self.isProposalSent ? .unknown : .discarded(winner: chosen.identity))
    }

    /// Once more from step 1, after a pause that doubles; not if the servers that are left cannot be enough.
    private mutating func retry(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        let available = self.set.all.subtracting(surroundings.heldDown).subtracting(self.declining)
        // What is up but has forgotten can hold a record, it cannot vote.
        let silent = available.subtracting(self.observations.answered)
        let mayVote = self.observations.votes.subtracting(surroundings.heldDown).subtracting(self.declining)
            .union(silent)
        guard self.set.canHold(available), self.set.isQuorum(mayVote) else {
            // Nobody is away, but some cannot keep it: no walk can change that.
            if case .keep = self.goal, !self.declining.isEmpty, surroundings.heldDown.isEmpty {
                return self.finish(.beyondRepair)
            }
            return self.giveUp(mayTryDegraded: true)
        }
        guard self.tries < Self.maximumTries else {
            // Enough servers, but always somebody faster: that is no reason for a degraded write.
            let isEnough =
                self.set.canHold(self.observations.answered) && self.set.isQuorum(self.observations.votes)
            return self.giveUp(mayTryDegraded: !isEnough)
        }
        self.phase = .backingOff
        self.pending = []
        // Between half of it and one and a half, so that two that duel part.
        let pause = Self.firstBackOff * (1 << min(max(self.tries - 1, 0), 10))
        let jitter = Double(surroundings.randomNumber() % 1_024) / 1_024
        return [.backOff(pause * (0.5 + jitter))]
    }
}
