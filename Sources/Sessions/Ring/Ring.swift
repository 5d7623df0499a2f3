/// A consistent-hashing ring, placing every key on the same server as the program that it is named after; the replica set
/// goes on from there to the next distinct servers clockwise.
///
/// A value made once from the configuration. A look-up is one hash, one binary search and one load from a table; it
/// allocates nothing. The table takes 32 bytes per position: 15 kB for three servers, 5 MB for a thousand.
package struct Ring: Sendable {
    /// The most servers that a ring takes, and the most that their weights may add up to: some rings have 160 positions for
    /// each unit.
    package static let maximumServers = Int(UInt16.max)
    package static let maximumTotalWeight = 100_000

    package static let limits =
        "a ring takes at most \(maximumServers) servers, whose weights add up to at most \(maximumTotalWeight)"

    /// Whether a ring of these servers can be made.
    package static func takes(_ servers: [RingServer]) -> Bool {
        servers.count <= Self.maximumServers
            && servers.allSatisfy { (0...Self.maximumTotalWeight).contains($0.weight) }
            && servers.reduce(0) { $0 + $1.weight } <= Self.maximumTotalWeight
    }

    package let kind: RingKind
    package let servers: [RingServer]

    /// How many servers own a position, or a bucket; all but those of a very small weight.
    package let serversWithPlace: Int

    /// How many servers there are, by host and port.
    private let distinctServers: Int
    /// For each server the first one with its host and port: itself, unless it is there twice.
    private let canonicalIndexes: [UInt16]
    /// In ascending order. Empty for PHP's memcache extension, which has its 1,024 buckets instead.
    private let positions: [UInt32]
    /// The lanes of the replica set that begins at each position or bucket; empty without any.
    private let sets: [SIMD16<UInt16>]

    /// - Parameter servers: some that a ring `takes`; others are a programming error. A server that is there twice, by host and
    ///   port, is one server, known by its first index.
    package init(kind: RingKind = .ketamaWeighted, servers: [RingServer]) {
        precondition(Self.takes(servers))
        self.kind = kind
        self.servers = servers

        var firstIndexes = [String: UInt16](minimumCapacity: servers.count)
        var canonical = [UInt16]()
        var distinct = [UInt16]()
        for (index, server) in servers.enumerated() {
            let index = UInt16(index)
            if let first = firstIndexes[server.address] {
                canonical.append(first)
            } else {
                firstIndexes[server.address] = index
                canonical.append(index)
                distinct.append(index)
            }
        }
        self.distinctServers = distinct.count
        self.canonicalIndexes = canonical

        let points = RingPoints.points(of: servers, kind: kind)
        let positions = points.map(\.position)
        let sets = Self.sets(owners: points.map { canonical[Int($0.server)] }, distinct: distinct)
        switch kind {
        case .ketamaWeighted, .ketama, .flexihash:
            self.positions = positions
            self.sets = sets
        case .peclCRC32, .peclFNV:
            // 1,024 equal steps; each bucket belongs to the first position from its start (`mmc_consistent_populate_buckets`).
            let step = UInt32.max / UInt32(Self.buckets)
            self.positions = []
            self.sets =
                sets.isEmpty
                ? []
                : (0..<Self.buckets).map { bucket in
                    sets[Self.firstIndex(in: positions) { $0 >= step * UInt32(bucket) }]
                }
        }
        self.serversWithPlace = Set(self.sets.map { $0[0] }).count
    }

    /// The first `count` distinct servers clockwise from the key's place: the original's server first, those that own no
    /// position last, in the order of the list. Fewer only if there are not that many.
    ///
    /// - Parameter count: at most `ReplicaSet.capacity`; more count as that.
    package func replicaSet(for key: UnsafeRawBufferPointer, count: Int) -> ReplicaSet {
        let count = min(count, self.distinctServers, ReplicaSet.capacity)
        guard count > 0 else { return ReplicaSet() }
        // Of one server nothing is hashed, as in the originals.
        return ReplicaSet(lanes: self.sets[self.distinctServers > 1 ? self.place(of: key) : 0], count: count)
    }

    package func replicaSet(for key: some Collection<UInt8>, count: Int) -> [Int] {
        let set =
            key.withContiguousStorageIfAvailable { self.replicaSet(for: UnsafeRawBufferPointer($0), count: count) }
            ?? Array(key).withUnsafeBytes { self.replicaSet(for: $0, count: count) }
        return Array(set)
    }

    /// The index under which a replica set names this server.
    func canonicalIndex(of server: Int) -> UInt16 { self.canonicalIndexes[server] }

    /// The index of the key's replica set.
    private func place(of key: UnsafeRawBufferPointer) -> Int {
        switch self.kind {
        case .ketamaWeighted: self.firstPosition(from: RingHash.md5(key))
        case .ketama: self.firstPosition(from: RingHash.oneAtATime(key))
        case .peclCRC32: Int(RingHash.crc32(key)) % Self.buckets
        case .peclFNV: Int(RingHash.fnv1a(key)) % Self.buckets
        case .flexihash: Self.firstIndex(in: self.positions) { [hash = RingHash.crc32(key)] in $0 > hash }
        }
    }

    private func firstPosition(from hash: UInt32) -> Int {
        Self.firstIndex(in: self.positions) { $0 >= hash }
    }

    /// The first index whose position fulfils `predicate`, which is false up to some position and true from there; 0 if none.
    private static func firstIndex(in positions: [UInt32], where predicate: (UInt32) -> Bool) -> Int {
        var low = 0
        var high = positions.count
        while low < high {
            let middle = (low + high) / 2
            if predicate(positions[middle]) { high = middle } else { low = middle + 1 }
        }
        return low == positions.count ? 0 : low
    }

    /// Of PHP's memcache extension.
    private static let buckets = 1_024

    /// For each position the servers that are met clockwise from there, and then those that own none.
    private static func sets(owners: [UInt16], distinct: [UInt16]) -> [SIMD16<UInt16>] {
        let withoutPosition = Set(distinct).subtracting(owners)
        let last = distinct.filter(withoutPosition.contains)
        var sets = [SIMD16<UInt16>](repeating: SIMD16(repeating: .max), count: owners.count)
        var set = ReplicaSet()
        // Counter-clockwise, each position's own server comes before all that follow it. The first round brings the
        // positions behind the end of the circle to its beginning.
        for _ in 0..<2 {
            for index in owners.indices.reversed() {
                set.moveToFront(owners[index])
                var whole = set
                for server in last { whole.append(server) }
                sets[index] = whole.lanes
            }
        }
        return sets
    }
}
