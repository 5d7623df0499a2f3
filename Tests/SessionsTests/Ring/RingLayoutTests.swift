import Testing

@testable import Sessions

@Suite struct RingLayoutTests {
    private static func servers(_ weights: [Int], port: Int = 1) -> [RingServer] {
        weights.indices.map { RingServer(host: "10.0.0.\($0)", port: port, weight: weights[$0]) }
    }

    private static func layout(
        _ kind: RingKind,
        _ placement: RingPlacement,
        _ weights: [Int],
        count: Int
    ) throws -> RingLayout {
        try #require(
            RingLayout(ring: Ring(kind: kind, servers: Self.servers(weights)), placement: placement, count: count)
        )
    }

    @Test func everyPlacementGoesWithItsRingsOnly() {
        for placement in RingPlacement.allCases {
            for kind in RingKind.allCases {
                let layout = RingLayout(
                    ring: Ring(kind: kind, servers: Self.servers([1, 1])),
                    placement: placement,
                    count: 2
                )
                #expect((layout != nil) == placement.rings.contains(kind))
            }
        }
    }

    @Test func aReplicaSetIsLargerThanTheCopiesOfAnOriginal() {
        #expect(RingPlacement.sessionGateway.servers(redundancy: 2) == 3)
        #expect(RingPlacement.sessionGateway.servers(redundancy: 1) == 1)
        #expect(RingPlacement.memcacheSession.servers(redundancy: 2) == 2)
    }

    @Test func libmemcachedGoesOnInTheOrderOfTheListAndRound() throws {
        let layout = try Self.layout(.ketama, .phpMemcached, [1, 1, 1, 1, 1], count: 3)
        for key in RingSampleKeys(count: 200) {
            let set = Array(layout.servers(of: key))
            #expect(set == [set[0], (set[0] + 1) % 5, (set[0] + 2) % 5])
        }
    }

    @Test(arguments: [RingKind.peclCRC32, .peclFNV]) func theSessionHandlerReachesEveryServerThatHasABucket(
        kind: RingKind
    ) throws {
        // One of 1,000 has few or no buckets: the walk is long, but it ends.
        let layout = try Self.layout(kind, .memcacheSession, [1_000, 1, 1_000], count: 16)
        for key in RingSampleKeys(count: 20) {
            #expect(layout.servers(of: key).count == layout.ring.serversWithPlace)
        }
    }

    // `mmc_prepare_key_ex`
    @Test func theMemcacheExtensionCutsKeysAndHashesNoBlanks() throws {
        let long = Array(repeating: UInt8(ascii: "k"), count: 250)
        for placement in [RingPlacement.memcache, .memcacheSession] {
            let layout = try Self.layout(.peclCRC32, placement, [1, 1, 1, 1, 1], count: 3)
            #expect(layout.servers(of: Array("a b\tc".utf8)) == layout.servers(of: Array("a_b_c".utf8)))
            #expect(layout.servers(of: long + [1, 2, 3]) == layout.servers(of: long))
        }
    }

    @Test(arguments: RingPlacement.allCases) func noServersOneServerAndTheSameServerTwice(
        placement: RingPlacement
    ) throws {
        let one = Self.servers([1])
        for (servers, places) in [([], []), (one, [0]), (one + one, [0])] {
            let ring = Ring(kind: placement.rings[0], servers: servers)
            let layout = try #require(RingLayout(ring: ring, placement: placement, count: 3))
            for key in RingSampleKeys(count: 20) { #expect(Array(layout.servers(of: key)) == places) }
        }
    }

    @Test func theSharesFollowTheWeights() throws {
        let layout = try Self.layout(.ketamaWeighted, .sessionGateway, [1, 2, 3], count: 2)
        var statistics = RingStatistics(serverCount: 3)
        for key in RingSampleKeys(count: 20_000) { statistics.add(layout.servers(of: key)) }
        #expect(statistics.keys == 20_000)
        #expect(statistics.copies == 40_000)
        #expect(statistics.servers.reduce(0) { $0 + $1.first } == 20_000)
        #expect(statistics.servers.reduce(0) { $0 + $1.copies } == 40_000)
        #expect((2_000..<5_000).contains(statistics.servers[0].first))
        #expect((8_000..<12_000).contains(statistics.servers[2].first))
    }

    @Test func theSampleKeysAreAlwaysTheSame() {
        let keys = RingSampleKeys(count: 3).map { String(decoding: $0, as: UTF8.self) }
        // SplitMix64 from 0: its published first outputs.
        #expect(keys[0] == "e220a8397b1dcdaf6e789e6aa1b965f4")
        #expect(Set(keys).count == 3)
    }

    @Test func aNewServerTakesItsShareAndNothingElseMoves() throws {
        let before = try Self.layout(.ketamaWeighted, .sessionGateway, [1, 1, 1], count: 1)
        let after = try Self.layout(.ketamaWeighted, .sessionGateway, [1, 1, 1, 1], count: 1)
        var comparison = RingComparison(before: before, after: after)
        for key in RingSampleKeys(count: 2_000) {
            let move = key.withUnsafeBytes { comparison.add($0) }
            if let move { #expect(move.after == [3] && move.before != [3]) }
        }
        #expect(comparison.keys == 2_000)
        #expect(comparison.moved == comparison.first && comparison.first == comparison.copied)
        #expect((300..<700).contains(comparison.moved))
        #expect(comparison.servers.map(\.gains) == [0, 0, 0, comparison.moved])
        #expect(comparison.servers.reduce(0) { $0 + $1.loses } == comparison.moved)
    }

    @Test func serversAreTheSameByTheirNamesWhateverTheirPlaceInTheList() throws {
        let servers = Self.servers([1, 1, 1, 1])
        let lists = [servers, servers.reversed()]
        let layouts = try lists.map { servers in
            try #require(RingLayout(ring: Ring(kind: .ketama, servers: servers), count: 3))
        }
        var same = RingComparison(before: layouts[0], after: layouts[1])
        // Every server's copies lie elsewhere where libmemcached goes on in the list's order.
        let inOrder = try lists.map { servers in
            try #require(
                RingLayout(ring: Ring(kind: .ketama, servers: servers), placement: .phpMemcached, count: 2)
            )
        }
        var other = RingComparison(before: inOrder[0], after: inOrder[1])
        for key in RingSampleKeys(count: 500) {
            key.withUnsafeBytes {
                _ = same.add($0)
                _ = other.add($0)
            }
        }
        #expect(same.moved == 0)
        #expect(other.first == 0 && other.moved == 500 && other.copied == 500)
    }
}
