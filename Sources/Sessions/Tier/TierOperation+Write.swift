extension TierOperation {
    mutating func startSave(
        _ session: StoredSession,
        _ proposal: SessionRecord,
        isDurable: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        var proposal = proposal
        let isDue = memory.queue.isDue(lastSynced: session.record.databaseSynced, at: moment.now)
        if isDue || isDurable { proposal.databaseSynced = moment.now }
        if session.isFromDatabase || !moment.mayReach {
            return self.writeAlone(proposal, isDurable: isDurable, &memory, moment)
        }
        self.state = .saving(session, proposal, isDurable: isDurable, isDue: isDue)
        return .saveReplicas(session.loaded, proposal: proposal)
    }

    mutating func startCreate(
        _ proposal: SessionRecord,
        isDurable: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        var proposal = proposal
        proposal.databaseSynced = moment.now
        guard moment.mayReach else { return self.writeAlone(proposal, isDurable: isDurable, &memory, moment) }
        self.state = .creating(proposal, isDurable: isDurable)
        return .createReplicas(proposal)
    }

    mutating func writeAnswered(_ answer: Answer, _ memory: inout TierMemory, _ moment: Moment) -> Step {
        switch (self.state, answer) {
        case (.saving(_, let proposal, let isDurable, let isDue), .written(let outcome)):
            switch outcome {
            case .saved(let saved):
                return self.acknowledged(
                    saved,
                    isAtOnce: isDurable,
                    isDurable: isDurable,
                    isDue: isDue,
                    &memory,
                    moment
                )
            case .degraded(let saved):
                return self.keepDegraded(saved, &memory, moment)
            case .unavailable:
                return self.writeAlone(proposal, isDurable: isDurable, &memory, moment)
            case .unknown where !moment.mayReach && memory.configuration.servesDegraded:
                // A part of it may be in memcached: it is the same record.
                self.mayBeInMemcached = true
                return self.writeAlone(proposal, isDurable: isDurable, &memory, moment)
            case .unknown:
                return self.endUnknown(proposal, &memory)
            case .discarded:
                return self.endWrite(outcome)
            }
        case (.creating(let proposal, let isDurable), .written(let outcome)):
            switch outcome {
            case .saved(let created):
                let isAtOnce = isDurable || memory.configuration.syncsNew
                return self.acknowledged(
                    created,
                    isAtOnce: isAtOnce,
                    isDurable: isDurable,
                    isDue: true,
                    &memory,
                    moment
                )
            case .degraded(let created):
                return self.keepDegraded(created, &memory, moment)
            case .unavailable, .unknown:
                guard memory.configuration.servesDegraded else { return self.endWrite(outcome) }
                if case .unknown = outcome { self.mayBeInMemcached = true }
                return self.writeAlone(proposal, isDurable: isDurable, &memory, moment)
            case .discarded:
                return self.endWrite(outcome)
            }
        case (.keeping(let session, let isDurable), let answer):
            return self.kept(session, isDurable: isDurable, answer, &memory, moment)
        case (.confirming(let session), let answer):
            if case .row(let row?) = answer, row.record.ancestors.contains(session.record.identity) {
                return self.endWrite(.saved(session))
            }
            return self.endWrite(.degraded(session))
        case (.keepingDegraded(let session), let answer):
            if case .changed(let result) = answer {
                if result.isApplied, let change { memory.written(change) }
            } else {
                memory.saved(session.record, self.key, isDue: true, at: moment.now)
            }
            return self.endWrite(.degraded(session))
        case (.writingAlone(let record), let answer):
            return self.writtenAlone(record, answer, &memory)
        default:
            return self.endWrite(.unknown)
        }
    }

    // MARK: Memcached has acknowledged it

    /// The database gets it now, or behind the response.
    private mutating func acknowledged(
        _ session: StoredSession,
        isAtOnce: Bool,
        isDurable: Bool,
        isDue: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        guard isAtOnce else {
            memory.saved(session.record, self.key, isDue: isDue, at: moment.now)
            return self.endWrite(.saved(session))
        }
        self.state = .keeping(session, isDurable: isDurable)
        return self.write(.upsert(memory.row(session.record, self.key, at: moment.now)), isDurable: isDurable)
    }

    private mutating func kept(
        _ session: StoredSession,
        isDurable: Bool,
        _ answer: Answer,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        switch answer {
        case .changed(.applied):
            if let change { memory.written(change) }
            return self.endWrite(.saved(session))
        case .changed(.refused(nil)):
            // Destroyed, and memcached is to hear of it.
            memory.adopt(self.key)
            return self.endWrite(.unknown)
        case .changed(.refused):
            guard isDurable else { return self.endWrite(.saved(session)) }
            // By a state that was made of this one, or by one that was not: then it is not durable.
            self.state = .confirming(session)
            return .loadRow
        default:
            memory.saved(session.record, self.key, isDue: true, at: moment.now)
            // Durable it is not.
            return self.endWrite(isDurable ? .degraded(session) : .saved(session))
        }
    }

    /// On fewer servers than a promise needs: the database has it before the response, unless it knows better.
    private mutating func keepDegraded(
        _ session: StoredSession,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        memory.memcachedWasAway()
        self.state = .keepingDegraded(session)
        let row = memory.row(session.record, self.key, at: moment.now)
        return self.write(.upsert(row, over: .ancestors))
    }

    // MARK: Memcached cannot be asked

    /// From what the database had it is a compare; from what memcached had, whose last states the database may not know, the
    /// row must be an ancestor.
    private mutating func writeAlone(
        _ proposal: SessionRecord,
        isDurable: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        memory.memcachedWasAway()
        guard memory.configuration.servesDegraded else { return self.endWrite(.unavailable) }
        var record = proposal
        record.databaseSynced = moment.now
        var row = memory.row(record, self.key, at: moment.now)
        row.due = SessionRow.unplaced
        self.state = .writingAlone(record)
        guard case .save(let session, _, _) = self.goal else {
            return self.write(.insert(row), isDurable: isDurable)
        }
        let base = session.record.identity
        let isOfRow = session.isFromDatabase && memory.queue.waiting(self.key) == nil
        return self.write(
            isOfRow ? .compareAndSave(row, base: base) : .upsert(row, over: .ancestors),
            isDurable: isDurable
        )
    }

    private mutating func writtenAlone(_ record: SessionRecord, _ answer: Answer, _ memory: inout TierMemory) -> Step {
        switch answer {
        case .changed(.applied):
            if let change { memory.written(change) }
            var kept = StoredSession(row: record, isDegraded: true)
            if case .compareAndSave? = change, case .save(let base, _, _) = self.goal, base.isOfOldRow {
                memory.counts.reverted += 1
                kept.hasGoneBack = true
            }
            return self.endWrite(.degraded(kept))
        case .changed(.refused(let current)) where !self.mayBeInMemcached:
            return self.endWrite(.discarded(winner: current?.version))
        case .failed(let mayHaveHappened) where !self.mayBeInMemcached:
            return self.endWrite(mayHaveHappened ? .unknown : .unavailable)
        default:
            return self.mayBeInMemcached ? self.endUnknown(record, &memory) : self.endWrite(.unknown)
        }
    }

    /// It may be in memcached, and be seen there: if it is lost with all copies, the row is to say that it was there.
    private mutating func endUnknown(_ record: SessionRecord, _ memory: inout TierMemory) -> Step {
        memory.mayBeSaved(self.key, version: record.identity.version)
        return self.endWrite(.unknown)
    }
}
