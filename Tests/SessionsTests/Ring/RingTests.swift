import Testing

@testable import Sessions

@Suite struct RingTests {
    private static func servers(_ count: Int, weight: (Int) -> Int = { _ in 1 }) -> [RingServer] {
        (0..<count).map { RingServer(host: "10.0.\($0 / 256).\($0 % 256)", port: 11_211, weight: weight($0)) }
    }

    private static let keys = (0..<300).map { Array("key-\($0 &* 2_654_435_761)".utf8) }

    // Worked by hand from the sources of the originals.
    @Test func theHashesAreThoseOfTheOriginals() {
        #expect(RingHash.crc32("abc") == 0x3524_41C2)
        #expect(RingHash.fnv1a("abc") == 0x1A47_E90B)
        #expect(RingHash.oneAtATime("abc") == 0xED13_1F5B)
        #expect(RingHash.md5("abc") == 0x9850_0190)
        #expect(RingHash.crc32("127.0.0.1:22101-0") == 0xCBE4_EA56)
        #expect(RingHash.oneAtATime("127.0.0.1:22101-0") == 0x20E7_5241)
    }

    @Test func weightedPointsAreRoundedAsIn32BitFloats() {
        func points(_ weights: [Int]) -> [Int] {
            let servers = Self.servers(weights.count) { weights[$0] }
            let points = RingPoints.points(of: servers, kind: .ketamaWeighted)
            return (0..<weights.count).map { server in points.count { Int($0.server) == server } }
        }
        #expect(points([1, 2, 3]) == [80, 160, 240])
        #expect(points([9, 5, 4, 3, 4]) == [288, 160, 124, 92, 124])
        #expect(points(Array(repeating: 1, count: 25)) == Array(repeating: 156, count: 25))
        #expect(points([1, 1_000]).first == 0)
    }

    @Test(arguments: RingKind.allCases) func aReplicaSetHasDistinctServersAndBeginsTheSameWhateverItsLength(
        kind: RingKind
    ) {
        let ring = Ring(kind: kind, servers: Self.servers(7) { $0 % 3 + 1 })
        for key in Self.keys {
            let all = ring.replicaSet(for: key, count: 7)
            #expect(Set(all) == Set(0..<7))
            for count in 0..<7 {
                #expect(ring.replicaSet(for: key, count: count) == Array(all.prefix(count)))
            }
            #expect(ring.replicaSet(for: key, count: 100) == all)
        }
    }

    // Equal weights, so that the weighted ring keeps the points of the others; the buckets of PHP's memcache extension let
    // the start of a walk jump, and are left out.
    @Test(arguments: [RingKind.ketamaWeighted, .ketama, .flexihash])
    func aReplicaSetOnlyEverGainsTheServerThatIsAdded(kind: RingKind) {
        let before = Ring(kind: kind, servers: Self.servers(4))
        let after = Ring(kind: kind, servers: Self.servers(5))
        var gained = 0
        for key in Self.keys {
            let grown = after.replicaSet(for: key, count: 3)
            let kept = grown.filter { $0 != 4 }
            #expect(kept == Array(before.replicaSet(for: key, count: 3).prefix(kept.count)))
            gained += 3 - kept.count
        }
        #expect((100..<280).contains(gained))
    }

    @Test(arguments: RingKind.allCases) func oneServerHasEverythingAndNoneHasNothing(kind: RingKind) {
        #expect(Ring(kind: kind, servers: Self.servers(1)).replicaSet(for: Array("k".utf8), count: 3) == [0])
        #expect(Ring(kind: kind, servers: []).replicaSet(for: Array("k".utf8), count: 3) == [])
    }

    @Test func aServerWithoutPointsComesLast() {
        let ring = Ring(servers: [
            RingServer(host: "a", port: 1, weight: 1), RingServer(host: "b", port: 1, weight: 1_000),
        ])
        for key in Self.keys { #expect(ring.replicaSet(for: key, count: 2) == [1, 0]) }
    }

    @Test(arguments: RingKind.allCases) func aServerThatIsThereTwiceIsOneServer(kind: RingKind) {
        let twice = [
            RingServer(host: "a", port: 1), RingServer(host: "b", port: 1), RingServer(host: "a", port: 1),
            RingServer(host: "/s", port: 0), RingServer(host: "unix:///s", port: 0),
        ]
        let ring = Ring(kind: kind, servers: twice)
        for key in Self.keys { #expect(Set(ring.replicaSet(for: key, count: 5)) == [0, 1, 3]) }
    }

    @Test func aUnixSocketIsNamedAsTheOriginalNamesIt() {
        let plain = [RingServer(host: "/run/a", port: 0), RingServer(host: "b", port: 1)]
        let url = [RingServer(host: "unix:///run/a", port: 0), RingServer(host: "b", port: 1)]
        for kind in [RingKind.ketama, .ketamaWeighted, .peclCRC32, .peclFNV] {
            let rings = (Ring(kind: kind, servers: plain), Ring(kind: kind, servers: url))
            for key in Self.keys {
                #expect(rings.0.replicaSet(for: key, count: 2) == rings.1.replicaSet(for: key, count: 2))
            }
        }
    }

    @Test func anyBytesAreAKey() {
        for kind in RingKind.allCases {
            let ring = Ring(kind: kind, servers: Self.servers(5))
            #expect(ring.replicaSet(for: [UInt8](), count: 3).count == 3)
            #expect(ring.replicaSet(for: (0...255).map { UInt8($0) }, count: 3).count == 3)
            #expect(ring.replicaSet(for: AnyCollection("lazy".utf8.lazy.map { $0 }), count: 3).count == 3)
        }
    }

    @Test func aReplicaSetHoldsSixteen() {
        let ring = Ring(servers: Self.servers(40))
        let set = ring.replicaSet(for: Array("k".utf8), count: 40)
        #expect(set.count == ReplicaSet.capacity)
        #expect(Set(set).count == ReplicaSet.capacity)
    }
}
