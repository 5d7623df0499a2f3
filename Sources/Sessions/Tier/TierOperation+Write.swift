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
        return .writeReplicas(.save(base: session.loaded, proposal: proposal))
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
        return .writeReplicas(.create(proposal: proposal))
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
            case .unavailable:
                return self.writeAlone(proposal, isDurable: isDurable, &memory, moment)
            case .unknown where !moment.mayReach && memory.configuration.servesDegraded:
                // A part of it may be in memcached: it is the same record.
                self.mayBeInMemcached = true
                return self.writeAlone(proposal, isDurable: isDurable, &memory, moment)
            case .unknown, .degraded:
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
            case .unavailable, .unknown, .degraded:
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
        case (.saving(_, let proposal, let isDurable, _), .tooFewReplicas(let mayBeWritten)),
            (.creating(let proposal, let isDurable), .tooFewReplicas(let mayBeWritten)):
            self.mayBeInMemcached = mayBeWritten
            return self.writeAlone(proposal, reachesFew: true, isDurable: isDurable, &memory, moment)
        case (.writingAlone(let record, let few), let answer):
            return self.writtenAlone(record, few: few, answer, &memory, moment)
        case (.disputing(let record), .row(let row)):
            if let row, row.record.identity == record.identity || row.record.ancestors.contains(record.identity) {
                return self.endWrite(.degraded(StoredSession(row: record, isDegraded: true)))
            }
            return self.endWrite(
                .discarded(winner: row.flatMap { $0.record.isTombstone ? nil : $0.record.identity.version })
            )
        case (.writingFew(let record, let kept), let answer):
            return self.writtenFew(record, kept: kept, answer, &memory, moment)
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

    // MARK: Memcached cannot be asked

    /// From what the database had it is a compare; from what memcached had, whose last states the database may not know, the
    /// row must be an ancestor.
    /// - Parameter reachesFew: some servers can be reached, and get it afterwards. They are asked last: what they have may be
    ///   older than what was acknowledged, and then only the database knows.
    private mutating func writeAlone(
        _ proposal: SessionRecord,
        reachesFew: Bool = false,
        isDurable: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        memory.memcachedWasAway()
        guard memory.configuration.servesDegraded else {
            if self.mayBeInMemcached { memory.mayBeSaved(self.key, version: proposal.identity.version) }
            return self.endWrite(.unavailable)
        }
        var record = proposal
        record.databaseSynced = moment.now
        var row = memory.row(record, self.key, at: moment.now)
        row.due = SessionRow.unplaced
        guard case .save(let session, _, _) = self.goal else {
            let goal = ReplicaOperation.Goal.create(proposal: record)
            self.state = .writingAlone(record, few: reachesFew ? goal.degraded : nil)
            return self.write(.insert(row), isDurable: isDurable)
        }
        let goal = ReplicaOperation.Goal.save(base: session.loaded, proposal: record)
        self.state = .writingAlone(record, few: reachesFew ? goal.degraded : nil)
        let base = session.record.identity
        let isOfRow = session.isFromDatabase && memory.queue.waiting(self.key) == nil
        return self.write(
            isOfRow ? .compareAndSave(row, base: base) : .upsert(row, over: .ancestors),
            isDurable: isDurable
        )
    }

    private mutating func writtenAlone(
        _ record: SessionRecord,
        few: ReplicaOperation.Goal?,
        _ answer: Answer,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        switch answer {
        case .changed(.applied):
            if let change { memory.written(change) }
            var kept = StoredSession(row: record, isDegraded: true)
            if case .save(let base, _, _) = self.goal, base.leavesBehind != nil {
                memory.counts.reverted += 1
                kept.hasGoneBack = true
            }
            guard let few else { return self.endWrite(.degraded(kept)) }
            self.state = .writingFew(record, kept: kept)
            return .writeFewReplicas(few)
        case .changed(.refused(let current?))
        where few != nil && self.isOlder(current) && !memory.hasForgotten(at: moment.now):
            // What the database was told alone, and memcached has gone on from something else: it is memcached's that counts.
            return self.writeFew(few, record, &memory)
        case .changed(.refused(nil)) where !self.mayBeInMemcached:
            return self.endWrite(.discarded(winner: nil))
        case .changed(.refused) where !self.mayBeInMemcached:
            // A change whose answer was lost is made again: then the row may have been read, and saved, in between.
            self.state = .disputing(record)
            return .loadRow
        case .failed(let mayHaveHappened):
            // Requests go on from memcached: unless it has just forgotten much, as with a load.
            if few != nil, !memory.hasForgotten(at: moment.now) { return self.writeFew(few, record, &memory) }
            if self.mayBeInMemcached { return self.endUnknown(record, &memory) }
            return self.endWrite(mayHaveHappened ? .unknown : .unavailable)
        default:
            return self.mayBeInMemcached ? self.endUnknown(record, &memory) : self.endWrite(.unknown)
        }
    }

    /// Whether what was loaded, from memcached, is newer than this.
    private func isOlder(_ current: WriteIdentity) -> Bool {
        guard case .save(let session, _, _) = self.goal, !session.isFromDatabase else { return false }
        return current.version < session.version
    }

    /// The database has not taken it.
    private mutating func writeFew(
        _ few: ReplicaOperation.Goal?,
        _ record: SessionRecord,
        _ memory: inout TierMemory
    ) -> Step {
        guard let few else { return self.endUnknown(record, &memory) }
        self.state = .writingFew(record, kept: nil)
        return .writeFewReplicas(few)
    }

    private mutating func writtenFew(
        _ record: SessionRecord,
        kept: StoredSession?,
        _ answer: Answer,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        if case .written(.degraded(let session)) = answer {
            if kept == nil { memory.saved(session.record, self.key, isDue: true, at: moment.now) }
            return self.endWrite(.degraded(session))
        }
        if let kept { return self.endWrite(.degraded(kept)) }
        return self.endUnknown(record, &memory)
    }

    /// It may be in memcached, and be seen there: if it is lost with all copies, the row is to say that it was there.
    private mutating func endUnknown(_ record: SessionRecord, _ memory: inout TierMemory) -> Step {
        memory.mayBeSaved(self.key, version: record.identity.version)
        return self.endWrite(.unknown)
    }
}
