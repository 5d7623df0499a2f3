/// Whose rule says which servers have the copies of a key. Where the originals put theirs is for comparing and for moving
/// away from them (`reference/rings.md`).
package enum RingPlacement: String, Sendable, CaseIterable {
    /// Ours: the next distinct servers clockwise.
    case sessionGateway = "session-gateway"
    /// PHP's memcache extension as session handler: `<key>-0`, `<key>-1`, … are asked of the ring, never the key itself.
    case memcacheSession = "memcache-session"
    /// PHP's memcache extension, `Memcache::set` with `memcache.redundancy`: the key, then `<key>-0`, `<key>-1`, …
    case memcache
    /// php-memcached and libmemcached with `NUMBER_OF_REPLICAS`: on in the order of the list from the ring's server.
    case phpMemcached = "php-memcached"
    /// FlexiHash's `lookupList`.
    case flexihash

    /// The rings that it goes with, the original's default or, where ours is among them, ours first.
    package var rings: [RingKind] {
        switch self {
        case .sessionGateway: [.ketamaWeighted, .ketama, .peclCRC32, .peclFNV, .flexihash]
        case .memcacheSession, .memcache: [.peclCRC32, .peclFNV]
        case .phpMemcached: [.ketamaWeighted, .ketama]
        case .flexihash: [.flexihash]
        }
    }

    /// How many servers matter to a key: the replica set of ours, the copies of an original.
    package func servers(redundancy: Int) -> Int {
        self == .sessionGateway ? 2 * redundancy - 1 : redundancy
    }
}

/// A ring with a rule for the copies: where the keys of one configuration are.
package struct RingLayout: Sendable {
    package let ring: Ring
    package let placement: RingPlacement
    /// The servers of a key that are asked for.
    package let count: Int

    /// - Parameter count: at most `ReplicaSet.capacity`; more count as that.
    /// - Returns: nil where the rule does not go with the ring.
    package init?(ring: Ring, placement: RingPlacement = .sessionGateway, count: Int) {
        guard placement.rings.contains(ring.kind) else { return nil }
        self.ring = ring
        self.placement = placement
        self.count = min(count, ReplicaSet.capacity)
    }

    /// The servers that have the key, the first first. Fewer than `count` where there are not that many, and in a few
    /// cases in which PHP's memcache extension finds no further one.
    ///
    /// - Parameter key: as the ring's program hashes it: what `Ring.replicaSet` takes. PHP's memcache extension hashes its
    ///   prefix too, php-memcached does not.
    package func servers(of key: UnsafeRawBufferPointer) -> ReplicaSet {
        switch self.placement {
        case .sessionGateway, .flexihash: self.ring.replicaSet(for: key, count: self.count)
        case .phpMemcached: self.nextInList(key)
        case .memcache: self.skippingWalk(key)
        case .memcacheSession: self.numberedWalk(key)
        }
    }

    package func servers(of key: some Collection<UInt8>) -> ReplicaSet {
        key.withContiguousStorageIfAvailable { self.servers(of: UnsafeRawBufferPointer($0)) }
            ?? Array(key).withUnsafeBytes { self.servers(of: $0) }
    }

    // MARK: - libmemcached (`memcached_send_binary`)

    private func nextInList(_ key: UnsafeRawBufferPointer) -> ReplicaSet {
        var set = ReplicaSet()
        guard let first = self.ring.replicaSet(for: key, count: 1).first else { return set }
        let all = self.ring.servers.count
        for step in 0..<min(self.count, all) {
            set.append(self.ring.canonicalIndex(of: (first + step) % all))
        }
        return set
    }

    // MARK: - PHP's memcache extension

    /// `memcache.max_failover_attempts`: behind it the extension no longer looks whether it has the server already.
    private static let failoverAttempts = 20
    /// The session handler goes on for ever; no ring that can be filled needs as many.
    private static let mostAttempts = 100_000

    /// `mmc_pool_schedule_key`, `mmc_pool_find_next`
    private func skippingWalk(_ key: UnsafeRawBufferPointer) -> ReplicaSet {
        var key = NumberedKey(key)
        var set = ReplicaSet()
        guard let first = self.server(of: key.plain), self.count > 0 else { return set }
        set.append(first)
        var number = 0
        for _ in 1..<max(1, min(self.count, self.ring.servers.count)) {
            var server: UInt16
            repeat {
                guard let next = self.server(of: key.numbered(number)) else { return set }
                server = next
                number += 1
            } while set.contains(Int(server)) && number < Self.failoverAttempts
            // Where it is there already, the extension writes the same copy once more.
            set.append(server)
        }
        return set
    }

    /// `PS_READ_FUNC`, `PS_WRITE_FUNC`
    private func numberedWalk(_ key: UnsafeRawBufferPointer) -> ReplicaSet {
        var key = NumberedKey(key)
        var set = ReplicaSet()
        // A server without a place is never met.
        let wanted = min(self.count, self.ring.serversWithPlace)
        for number in 0..<Self.mostAttempts where set.count < wanted {
            guard let server = self.server(of: key.numbered(number)) else { break }
            set.append(server)
        }
        return set
    }

    private func server(of key: some Collection<UInt8>) -> UInt16? {
        self.ring.replicaSet(for: key, count: 1).first.map { UInt16($0) }
    }
}

/// A key as PHP's memcache extension makes it (`mmc_prepare_key_ex`), with a number behind it.
private struct NumberedKey {
    private static let maximumLength = 250

    let plain: [UInt8]
    private var text: [UInt8]

    init(_ key: UnsafeRawBufferPointer) {
        self.plain = key.prefix(Self.maximumLength).map { $0 <= 0x20 ? UInt8(ascii: "_") : $0 }
        self.text = self.plain
    }

    mutating func numbered(_ number: Int) -> [UInt8] {
        self.text.removeSubrange(self.plain.count...)
        self.text.append(contentsOf: "-\(number)".utf8)
        return self.text
    }
}
