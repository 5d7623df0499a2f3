package import Sessions

/// What one reading of all servers of a key says about its copies. A value: no I/O.
///
/// The rule is the protocol's: the record with the highest ballot counts, and it is chosen if every one of its holders
/// has it. What lies on servers that are no holders (promises, copies that were superseded) is left over from slow writes
/// and does no harm.
package struct CopyComparison: Sendable, Equatable {
    /// What the server of one position answered.
    package enum Slot: Sendable {
        /// Not connected, or no answer.
        case silent
        case absent
        /// A value that does not decode, or that is of another key or site.
        case corrupt
        case copy(ReplicaCopy, secondsToLive: Int?)
    }

    /// What that means for the server.
    package enum Finding: String, Sendable, Equatable {
        /// It is a holder and has the record.
        case present
        /// It is a holder and has no record.
        case missing
        /// It is a holder and has a record with a lower ballot.
        case older
        case corrupt
        /// It is no holder: a promise, or a record that was superseded.
        case leftover
        /// It is no holder and has nothing.
        case none
        /// It did not answer.
        case unknown
    }

    /// What is wrong with the session; several may hold.
    package struct Flaws: OptionSet, Sendable, Equatable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Fewer than `redundancy` servers have the record.
        package static let short = Flaws(rawValue: 1)
        /// A write has not come to its end: a holder has an older record, or has promised to take another one.
        package static let halfWritten = Flaws(rawValue: 2)
        /// No copy decodes.
        package static let unreadable = Flaws(rawValue: 4)
        /// Written while too few servers could be reached, so that nothing is promised about it.
        package static let degraded = Flaws(rawValue: 8)
        /// Written for another list of servers.
        package static let otherRing = Flaws(rawValue: 16)
        /// A server that could have said more did not answer.
        package static let undecided = Flaws(rawValue: 32)
        /// A value that does not decode, were it beside enough good copies: where it lies no promise can be made.
        package static let corrupt = Flaws(rawValue: 64)
    }

    package enum Session: Sendable, Equatable {
        /// There is no record: it has expired, or only promises are left of it.
        case none
        /// It expires within moments, which no two servers see in the same second.
        case ending
        case live
        /// Destroyed: the record is a tombstone, to be held by as many servers.
        case destroyed
    }

    package let session: Session
    package let flaws: Flaws
    /// By position.
    package let findings: [Finding]
    /// Whether the record is on the first servers of the key that answered, where loads look first.
    package let isAtHome: Bool
    /// The positions that should have the record.
    package let holders: Positions
    /// Fewer than `redundancy` of the servers that answered have the record.
    private let isShortOfSeen: Bool
    /// Tells two readings apart: it changes with every write, promises included, and not with a reading.
    package let evidence: Int

    /// A session that lives no longer is left to end.
    private static let endingSeconds = 5

    package init(_ slots: [Slot], in set: ReplicaLayout) {
        var highest: (record: SessionRecord, secondsToLive: Int?)?
        for case .copy(let copy, let secondsToLive) in slots {
            guard let record = copy.record else { continue }
            if highest.map({ record.accepted > $0.record.accepted }) ?? true {
                highest = (record, secondsToLive)
            } else if let known = highest, record.accepted == known.record.accepted {
                // The longest of its copies' lives.
                let longest = known.secondsToLive.flatMap { known in secondsToLive.map { max($0, known) } }
                highest = (known.record, longest)
            }
        }
        self.evidence = Self.evidence(slots)
        let corrupt: Flaws = slots.contains { $0.isCorrupt } ? .corrupt : []
        let silent: Flaws = slots.contains { $0.isSilent } ? .undecided : []
        guard let (record, secondsToLive) = highest else {
            self.session = .none
            let unreadable: Flaws = corrupt.isEmpty ? [] : [.corrupt, .unreadable]
            self.flaws = unreadable.union(silent)
            self.findings = slots.map { Self.finding($0, of: nil, isHolder: false) }
            self.isAtHome = true
            self.isShortOfSeen = false
            self.holders = []
            return
        }
        // Positions of another ring say nothing about this one: the record belongs on the first servers.
        let isOfThisRing = record.placement == set.placement && !record.holders.isEmpty
        let home = set.home
        let holders = isOfThisRing ? record.holders : home
        let findings = slots.enumerated().map { position, slot in
            Self.finding(slot, of: record, isHolder: holders.contains(position))
        }
        var flaws = corrupt
        if !isOfThisRing { flaws.insert(.otherRing) }
        if record.accepted.depth > 0 { flaws.insert(.degraded) }
        let present = findings.count { $0 == .present }
        if present < set.redundancy {
            let unknown = findings.count { $0 == .unknown }
            flaws.insert(present + unknown < set.redundancy ? .short : .undecided)
        }
        if findings.contains(.older) || Self.isPromisedAway(slots, record, holders) { flaws.insert(.halfWritten) }
        // A silent holder may have a higher record; a silent server that is none may have promised one.
        flaws.formUnion(silent)
        self.session =
            if let secondsToLive, secondsToLive <= Self.endingSeconds {
                .ending
            } else {
                record.isTombstone ? .destroyed : .live
            }
        self.flaws = flaws
        self.findings = findings
        var answering: Positions = []
        for (position, slot) in slots.enumerated() where !slot.isSilent { answering.insert(position) }
        self.isAtHome = isOfThisRing && record.holders == set.firstHolders(among: answering)
        self.isShortOfSeen = present < set.redundancy
        self.holders = holders
    }

    /// Whether nothing is to be reported.
    package var isInOrder: Bool { self.flaws.isEmpty || self.session == .ending }

    /// Whether the protocol should choose the record anew.
    ///
    /// - Parameter forgetful: positions whose servers are not complete. A record that they hold by its own word may be
    ///   from their former life or counted on it.
    package func needsRepair(forgetful: Positions) -> Bool {
        switch self.session {
        case .ending: false
        case .none: self.flaws.contains(.unreadable)
        case .live, .destroyed:
            // A silent server takes no part; what the others can do without it they shall.
            self.isShortOfSeen || !self.flaws.isSubset(of: .undecided) || !self.isAtHome
                || !self.holders.isDisjoint(with: forgetful)
        }
    }

    /// What a session loses with a server.
    package enum Stake: Sendable, Equatable {
        case nothing
        case aCopy
        /// Nothing was found, but somebody else did not answer either.
        case unknown
    }

    /// What is lost with the server of this position.
    package func stake(in position: Int) -> Stake {
        guard self.session == .none else { return self.holders.contains(position) ? .aCopy : .nothing }
        let isElsewhere = self.findings.indices.contains { $0 != position && self.findings[$0] == .unknown }
        return isElsewhere ? .unknown : .nothing
    }

    private static func finding(_ slot: Slot, of record: SessionRecord?, isHolder: Bool) -> Finding {
        switch slot {
        case .silent: return .unknown
        case .corrupt: return .corrupt
        case .absent: return isHolder ? .missing : .none
        case .copy(let copy, _):
            if let record, copy.accepted == record.accepted { return .present }
            guard isHolder else { return .leftover }
            return copy.record == nil ? .missing : .older
        }
    }

    private static func isPromisedAway(_ slots: [Slot], _ record: SessionRecord, _ holders: Positions) -> Bool {
        slots.enumerated().contains { position, slot in
            guard holders.contains(position), case .copy(let copy, _) = slot else { return false }
            return copy.promised > record.accepted
        }
    }

    private static func evidence(_ slots: [Slot]) -> Int {
        var hasher = Hasher()
        for slot in slots {
            switch slot {
            case .silent: hasher.combine(0)
            case .absent: hasher.combine(1)
            case .corrupt: hasher.combine(2)
            case .copy(let copy, _):
                hasher.combine(3)
                hasher.combine(copy.promised)
                hasher.combine(copy.accepted)
            }
        }
        return hasher.finalize()
    }
}

extension CopyComparison.Slot {
    fileprivate var isCorrupt: Bool { if case .corrupt = self { true } else { false } }
    fileprivate var isSilent: Bool { if case .silent = self { true } else { false } }
}
