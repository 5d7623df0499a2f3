extension ReplicaOperation {
    /// Asks the first r servers that are not known to be down: one round trip where they agree.
    mutating func startLoad(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        let available = self.set.all.subtracting(surroundings.heldDown)
        guard !available.isEmpty else { return self.giveUp(mayTryDegraded: true) }
        self.phase = .loading(isFirst: true)
        self.askedFirst = available.prefix(self.set.redundancy)
        let call = self.nextCall()
        return self.ask(self.askedFirst, touch: true, call: call)
    }

    mutating func loadAnswered(
        isFirst: Bool,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        if let record = self.observations.chosenRecord(in: self.set) {
            return (isFirst ? self.restoreTombstones() : []) + self.found(record)
        }
        guard self.pending.isEmpty else { return [] }
        // Only now, when all have spoken: a copy that one server has lost (evicted) shall not hide the others.
        if self.observations.votes.count >= self.set.quorum, self.observations.occupied.isEmpty {
            return self.finish(.none)
        }
        if isFirst {
            let rest = self.set.all.subtracting(surroundings.heldDown).subtracting(self.askedFirst)
            if !rest.isEmpty {
                self.phase = .loading(isFirst: false)
                let restored = self.restoreTombstones()
                let call = self.nextCall()
                return restored + self.ask(rest, touch: false, call: call)
            }
        }
        let restored = isFirst ? self.restoreTombstones() : []
        if let help = self.help() {
            return restored + help
        }
        return restored + self.decide(&surroundings)
    }

    /// Completes the highest record where only its own fast write is missing.
    private mutating func help() -> [ReplicaStep]? {
        guard
            let record = self.observations.highest,
            let missing = self.observations.unfinishedHolders(of: record, in: self.set), !missing.isEmpty,
            self.observations.votes.count >= self.set.quorum
        else { return nil }
        self.phase = .helping(record)
        let call = self.nextCall()
        return missing.map { position, token in
            self.pending.insert(position)
            return .send(
                .write(ReplicaCopy(accepted: record), .compareAndSet(token), .idle),
                to: position,
                call: call
            )
        }
    }

    mutating func helpAnswered(
        _ record: SessionRecord,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        guard self.pending.isEmpty else { return [] }
        var tokens = self.observations.tokens(for: record)
        for position in record.holders where !self.observations.holds(record, at: position) {
            guard let token = self.stored[position] else { return self.readAll(&surroundings) }
            tokens[position] = token
        }
        return self.finish(self.loaded(record, tokens: tokens))
    }

    /// The record is chosen.
    private mutating func found(_ record: SessionRecord) -> [ReplicaStep] {
        self.finish(self.loaded(record, tokens: self.observations.tokens(for: record)))
    }

    /// What a load returns of a chosen record.
    func loaded(_ record: SessionRecord, tokens: [ReplicaToken?]) -> ReplicaOutcome {
        if record.isTombstone { return .none }
        let home = self.askedFirst.isEmpty ? self.set.all.prefix(self.set.redundancy) : self.askedFirst
        return .chosen(LoadedRecord(record: record, tokens: tokens, needsRepair: record.holders != home))
    }

    /// A touching read gives a tombstone the idle duration of a session, which may be less than it must live: put
    /// back what it had.
    private func restoreTombstones() -> [ReplicaStep] {
        self.askedFirst.compactMap { position in
            guard let seen = self.observations.copy(at: position), seen.copy.record?.isTombstone ?? true else {
                return nil
            }
            return .send(
                .restoreLifetime(seconds: seen.secondsToLive),
                to: position,
                // No answer is waited for: the number of no stage.
                call: ReplicaCall(number: 0)
            )
        }
    }
}
