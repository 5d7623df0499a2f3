extension ReplicaOperation {
    /// Asks the first r servers that are not known to be down, of both rings while there are two: one round trip where they agree.
    mutating func startLoad(_ surroundings: inout some ReplicaSurroundings) -> [ReplicaStep] {
        let available = self.set.all.subtracting(surroundings.heldDown)
        guard !available.isEmpty else { return self.giveUp(mayTryDegraded: true) }
        self.phase = .loading(isFirst: true)
        self.askedFirst = self.set.firstHolders(among: available)
        let call = self.nextCall()
        return self.ask(self.askedFirst, touch: self.slidesExpiry, call: call)
    }

    private var slidesExpiry: Bool {
        if case .load = self.goal { true } else { false }
    }

    mutating func loadAnswered(
        isFirst: Bool,
        _ surroundings: inout some ReplicaSurroundings
    ) -> [ReplicaStep] {
        if let record = self.observations.chosenRecord(in: self.set) {
            if isFirst, self.slidesExpiry { self.noteTouched(except: record) }
            return self.found(record)
        }
        guard self.pending.isEmpty else { return [] }
        if isFirst {
            if self.slidesExpiry { self.noteTouched(except: nil) }
            // Also where the first have nothing: a copy that one of them has lost (evicted) shall not hide the others.
            let rest = self.set.all.subtracting(surroundings.heldDown).subtracting(self.askedFirst)
            if !rest.isEmpty {
                self.phase = .loading(isFirst: false)
                let call = self.nextCall()
                return self.ask(rest, touch: false, call: call)
            }
        }
        if self.set.isQuorum(self.observations.votes), self.observations.occupied.isEmpty {
            return self.finish(.none)
        }
        if let help = self.help() {
            return help
        }
        return self.decide(&surroundings)
    }

    /// Completes the highest record where only its own fast write is missing.
    private mutating func help() -> [ReplicaStep]? {
        guard
            let record = self.observations.highest,
            let missing = self.observations.unfinishedHolders(of: record, in: self.set), !missing.isEmpty,
            self.set.isQuorum(self.observations.votes)
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
        let home = self.askedFirst.isEmpty ? self.set.home : self.askedFirst
        let needsRepair = record.holders != home || record.placement != self.set.placement
        // By its write: where it was accepted anew, nobody was seen with the ballot that it has now.
        let secondsToLive = self.observations.secondsToLive(of: record.identity)
        return .chosen(
            LoadedRecord(record: record, tokens: tokens, needsRepair: needsRepair, secondsToLive: secondsToLive)
        )
    }

    /// A touching read gives every copy the idle duration of a session: to a tombstone or a stub that may be less than it
    /// must live, to a copy of what is over or superseded more than it may.
    private mutating func noteTouched(except record: SessionRecord?) {
        for position in self.askedFirst {
            if let record, !record.isTombstone, self.observations.holds(record, at: position) { continue }
            if let seen = self.observations.copy(at: position) { self.touched[position] = seen }
        }
    }

    /// Puts back the lifetimes of all that was touched and is not returned, where this load writes nothing else there.
    ///
    /// By compare-and-set: a touch would give the long life of a tombstone or a stub also to a record that has come in
    /// between, and one that lives longer than those that follow it is read again when they have expired.
    mutating func restoreLifetimes(_ outcome: ReplicaOutcome) -> [ReplicaStep] {
        guard !self.touched.isEmpty else { return [] }
        var returned: Ballot?
        if case .chosen(let loaded) = outcome { returned = loaded.record.accepted }
        let touched = self.touched.sorted { $0.key < $1.key }
        self.touched = [:]
        return touched.compactMap { position, seen in
            if let returned, seen.copy.accepted == returned { return nil }
            let isAlive = seen.copy.record.map { !$0.isTombstone } ?? false
            return .send(
                .write(
                    seen.copy,
                    .compareAndSet(seen.token),
                    isAlive ? .remaining(seconds: seen.secondsToLive) : .promise(seconds: seen.secondsToLive)
                ),
                to: position,
                call: .unawaited
            )
        }
    }
}
