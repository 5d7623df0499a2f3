/// The servers of a key by position: how many of them hold it, and how many must be heard.
///
/// Outside of a change of the ring these are the first n servers of one ring, in ring order. While a ring takes another
/// one's place a key has the servers of both: the old ring's at the first positions, as records from before the change
/// name them, and behind them those that only the new one has. A record is then held by r of either.
package struct ReplicaLayout: Sendable, Hashable {
    /// The most copies a site may ask for.
    package static let maximumRedundancy = 8

    /// One ring's servers of the key.
    private struct Group: Sendable, Hashable {
        /// r: a record is stored on this many of them.
        var redundancy: Int
        /// n.
        var count: Int
        /// Their positions in ring order, four bits each.
        var order: UInt64

        /// q = n − r + 1: any q of them meet the r holders of every record.
        var quorum: Int { self.count - self.redundancy + 1 }

        func position(_ index: Int) -> Int { Int(truncatingIfNeeded: self.order >> (4 * UInt64(index)) & 0xf) }

        var all: Positions {
            var all: Positions = []
            for index in 0..<self.count { all.insert(self.position(index)) }
            return all
        }

        func first(_ count: Int, among positions: Positions) -> Positions {
            var result: Positions = []
            for index in 0..<self.count where result.count < count {
                let position = self.position(index)
                if positions.contains(position) { result.insert(position) }
            }
            return result
        }
    }

    private let first: Group
    /// While another ring takes the first one's place.
    private let second: Group?
    /// Whether the second ring's servers must be heard too: not before every session is on them.
    private let needsBoth: Bool
    /// All positions.
    package let count: Int
    /// Names the servers and their order: a record tells by it whether its `holders` mean these positions.
    package let placement: UInt32
    /// Of the records that are chosen all the same: those from before the change, until every session has moved.
    private let formerPlacement: UInt32?
    /// Positions that hold nothing new as long as others can: their servers are about to be taken away.
    package let drained: Positions

    /// - Parameter servers: the size of the pool, at least 1. Of a smaller pool than `redundancy` every server holds
    ///   every record.
    package init(redundancy: Int, servers: Int, placement: UInt32, drained: Positions = []) {
        let redundancy = max(1, min(redundancy, servers, Self.maximumRedundancy))
        self.first = Group(
            redundancy: redundancy,
            count: min(2 * redundancy - 1, max(1, servers)),
            order: 0xfedc_ba98_7654_3210
        )
        self.second = nil
        self.needsBoth = false
        self.count = self.first.count
        self.placement = placement
        self.formerPlacement = nil
        self.drained = drained
    }

    /// While one ring takes another one's place.
    ///
    /// - Parameters:
    ///   - order: the new ring's servers of the key in ring order, by position.
    ///   - hasMoved: whether every session is on the new ring's servers: then these are heard too.
    /// - Returns: nil where both together are more than sixteen.
    package init?(from old: ReplicaLayout, to new: ReplicaLayout, order: [Int], hasMoved: Bool) {
        guard old.second == nil, new.second == nil, order.count == new.count,
            order.allSatisfy({ (0..<16).contains($0) })
        else { return nil }
        self.first = old.first
        var group = new.first
        group.order = 0
        for (index, position) in order.enumerated() { group.order |= UInt64(position) << (4 * UInt64(index)) }
        self.second = group
        self.needsBoth = hasMoved
        self.count = max(old.count, (order.max() ?? 0) + 1)
        // Neither ring's own, whatever these are.
        self.placement = (old.placement ^ 0x4a6f_696e) &* 16_777_619 ^ new.placement
        self.formerPlacement = hasMoved ? nil : old.placement
        self.drained = []
    }

    package var all: Positions { .first(self.count) }

    /// Whether two rings share the key.
    package var isJoint: Bool { self.second != nil }

    /// How many servers hold a record at least.
    package var redundancy: Int { max(self.first.redundancy, self.second?.redundancy ?? 0) }

    /// Whether so many votes meet the holders of every record.
    package func isQuorum(_ positions: Positions) -> Bool {
        // Outside of a change no position is beyond the first ring's.
        guard let second else { return positions.count >= self.first.quorum }
        return positions.intersection(.first(self.first.count)).count >= self.first.quorum
            && (!self.needsBoth || positions.intersection(second.all).count >= second.quorum)
    }

    /// The first r of these in ring order, of both rings where there are two; all that there are where these are fewer.
    package func firstHolders(among positions: Positions) -> Positions {
        guard self.second != nil || !self.drained.isEmpty else { return positions.prefix(self.first.redundancy) }
        let first = self.holders(of: self.first, among: positions)
        guard let second else { return first }
        return first.union(self.holders(of: second, among: positions))
    }

    private func holders(of group: Group, among positions: Positions) -> Positions {
        let kept = group.first(group.redundancy, among: positions.subtracting(self.drained))
        // With too few others better a copy that will go than none.
        let missing = group.redundancy - kept.count
        return missing > 0 ? kept.union(group.first(missing, among: positions.intersection(self.drained))) : kept
    }

    /// q of the first ring.
    package var quorum: Int { self.first.quorum }

    /// Where a record belongs.
    package var home: Positions { self.firstHolders(among: self.all) }

    /// Whether these are enough to hold a record.
    package func canHold(_ positions: Positions) -> Bool {
        guard let second else { return positions.count >= self.first.redundancy }
        return positions.intersection(.first(self.first.count)).count >= self.first.redundancy
            && positions.intersection(second.all).count >= second.redundancy
    }

    /// The servers that shall hold a record; nil where these are too few.
    func holders(among positions: Positions) -> Positions? {
        self.canHold(positions) ? self.firstHolders(among: positions) : nil
    }

    /// Whether the holders that a record names are positions of this layout.
    func names(_ placement: UInt32) -> Bool {
        placement == self.placement || placement == self.formerPlacement
    }
}
