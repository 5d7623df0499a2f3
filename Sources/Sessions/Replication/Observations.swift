/// What the servers of one key answered in one round of reads, by position.
struct Observations: Sendable {
    struct Seen: Sendable {
        var copy: ReplicaCopy
        var token: ReplicaToken
        var secondsToLive: Int?
    }

    enum Slot: Sendable {
        /// Not asked, or no answer.
        case silent
        case copy(Seen)
        /// A complete server without the key votes "none"; one that has forgotten does not vote.
        case absent(ConnectionIdentity, isComplete: Bool)
        /// A value that does not decode: no vote.
        case corrupt(ReplicaToken)
    }

    private(set) var slots: [Slot]

    init(count: Int) {
        self.slots = Array(filledWith: .silent, count: count)
    }

    mutating func note(_ answer: ReplicaAnswer, at position: Int) {
        switch answer {
        case .copy(let copy, let token, let secondsToLive):
            self.slots[position] = .copy(Seen(copy: copy, token: token, secondsToLive: secondsToLive))
        case .absent(let connection, let isComplete):
            self.slots[position] = .absent(connection, isComplete: isComplete)
        case .corrupt(let token):
            self.slots[position] = .corrupt(token)
        case .stored, .refused, .declined, .failed:
            break
        }
    }

    func copy(at position: Int) -> Seen? {
        guard position < self.slots.count, case .copy(let seen) = self.slots[position] else { return nil }
        return seen
    }

    /// Servers that know what they promised: those with a copy, and complete ones without.
    var votes: Positions {
        self.positions {
            switch $0 {
            case .copy, .absent(_, isComplete: true): true
            case .silent, .absent(_, isComplete: false), .corrupt: false
            }
        }
    }

    /// The tokens of the values that do not decode, if every server has answered and nothing else is left.
    var ruins: [ReplicaToken]? {
        var tokens: [ReplicaToken] = []
        for slot in self.slots {
            switch slot {
            case .corrupt(let token): tokens.append(token)
            case .absent(_, isComplete: true): break
            case .silent, .copy, .absent(_, isComplete: false): return nil
            }
        }
        return tokens.isEmpty ? nil : tokens
    }

    /// A server that answered and has no vote.
    enum Gap: Sendable, Hashable {
        case forgotten(ConnectionIdentity)
        case corrupt(ReplicaToken)
    }

    /// The servers that have no vote, if every server has answered.
    var gaps: [Gap]? {
        var gaps: [Gap] = []
        for slot in self.slots {
            switch slot {
            case .silent: return nil
            case .absent(let connection, isComplete: false): gaps.append(.forgotten(connection))
            case .corrupt(let token): gaps.append(.corrupt(token))
            case .copy, .absent(_, isComplete: true): break
            }
        }
        return gaps
    }

    /// Servers that hold something, were it a stub or a value that does not decode.
    var occupied: Positions {
        self.positions {
            switch $0 {
            case .copy, .corrupt: true
            case .silent, .absent: false
            }
        }
    }

    var answered: Positions {
        self.positions {
            if case .silent = $0 { false } else { true }
        }
    }

    private func positions(where isIncluded: (Slot) -> Bool) -> Positions {
        var result: Positions = []
        // By index: an iterator would copy every slot.
        for position in self.slots.indices where isIncluded(self.slots[position]) {
            result.insert(position)
        }
        return result
    }

    /// The record with the highest ballot among these positions.
    func highest(among positions: Positions) -> SessionRecord? {
        var best: SessionRecord?
        for position in positions {
            if let record = self.copy(at: position)?.copy.record, best.map({ record.accepted > $0.accepted }) ?? true {
                best = record
            }
        }
        return best
    }

    /// The record with the highest ballot.
    var highest: SessionRecord? { self.highest(among: .first(self.slots.count)) }

    /// The highest round of any promise.
    var highestRound: UInt32 {
        self.slots.reduce(0) { highest, slot in
            if case .copy(let seen) = slot { max(highest, seen.copy.promised.round) } else { highest }
        }
    }

    func holds(_ record: SessionRecord, at position: Int) -> Bool {
        self.copy(at: position)?.copy.record?.accepted == record.accepted
    }

    /// The positions that were seen with it.
    func holders(of record: SessionRecord) -> Positions {
        self.positions {
            if case .copy(let seen) = $0 { seen.copy.record?.accepted == record.accepted } else { false }
        }
    }

    /// The highest record, if every one of its holders was seen with it and a quorum has voted.
    ///
    /// A degraded record is none: its writer asked nobody, and it may have been written below a promise. Neither is a
    /// tombstone beside a copy of the living session: it is written anew, with its full time, so that it outlives it.
    func chosenRecord(in set: ReplicaLayout) -> SessionRecord? {
        guard
            set.isQuorum(self.votes), let record = self.highest, set.names(record.placement),
            record.accepted.depth == 0, !record.holders.isEmpty,
            record.holders.allSatisfy({ self.holds(record, at: $0) }), !(record.isTombstone && self.showsLife)
        else { return nil }
        return record
    }

    /// Whether any copy is of the session before its end.
    private var showsLife: Bool {
        self.slots.contains {
            if case .copy(let seen) = $0 { seen.copy.record?.isTombstone == false } else { false }
        }
    }

    /// By position, the tokens of the holders that promised nothing above this record.
    func tokens(for record: SessionRecord) -> [ReplicaToken?] {
        self.slots.indices.map { position in
            guard
                record.holders.contains(position), let seen = self.copy(at: position),
                seen.copy.accepted == record.accepted, !seen.copy.isPromisedElsewhere
            else { return nil }
            return seen.token
        }
    }

    /// The longest life that a copy of this record has left; nil where one never expires.
    func secondsToLive(of record: SessionRecord) -> Int? {
        self.secondsToLive { $0.accepted == record.accepted }
    }

    /// Likewise of the copies of one write, under whichever ballot.
    func secondsToLive(of write: WriteIdentity) -> Int? {
        self.secondsToLive { $0.record?.identity == write }
    }

    private func secondsToLive(where isMeant: (ReplicaCopy) -> Bool) -> Int? {
        var longest = 0
        for slot in self.slots {
            if case .copy(let seen) = slot, isMeant(seen.copy) {
                guard let seconds = seen.secondsToLive else { return nil }
                longest = max(longest, seconds)
            }
        }
        return longest
    }

    /// The tokens of the holders that lack this record, if all that is missing is that its fast write reaches them:
    /// each of them has exactly its parent, unpromised. Nil otherwise.
    func unfinishedHolders(of record: SessionRecord, in set: ReplicaLayout) -> [(position: Int, token: ReplicaToken)]? {
        guard
            record.accepted.ballotClass == .fast, record.accepted.depth == 0, record.placement == set.placement,
            record.accepted.round > 1, let base = record.base
        else { return nil }
        var missing: [(position: Int, token: ReplicaToken)] = []
        for position in record.holders where !self.holds(record, at: position) {
            guard
                let seen = self.copy(at: position), let parent = seen.copy.record, !seen.copy.isPromisedElsewhere,
                parent.identity == base, parent.accepted.round == record.accepted.round - 1,
                parent.holders == record.holders, parent.placement == record.placement
            else { return nil }
            missing.append((position, seen.token))
        }
        return missing
    }
}
