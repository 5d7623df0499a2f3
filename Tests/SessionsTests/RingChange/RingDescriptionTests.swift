import Testing

@testable import Sessions

struct RingDescriptionTests {
    private static let old = RingDescription(
        kind: .ketamaWeighted,
        redundancy: 2,
        servers: [
            RingServer(host: "a", port: 11_211), RingServer(host: "[::1]", port: 1, weight: 7),
            RingServer(host: "/run/mem cached%.sock", port: 0),
        ]
    )
    private static let new = RingDescription(
        kind: .peclFNV,
        redundancy: 3,
        servers: (1...6).map { RingServer(host: "s\($0)", port: 11_211) },
        drained: ["s2:11211"]
    )

    @Test(arguments: [
        PoolState(epoch: 1, stage: .stable(Self.old)), PoolState(epoch: .max - 1, stage: .stable(Self.new)),
        PoolState(epoch: 7, stage: .joining(from: Self.old, to: Self.new)),
        PoolState(epoch: 8, stage: .joined(from: Self.new, to: Self.old)),
    ])
    func theTextReadsBackToTheSame(_ state: PoolState<RingDescription>) {
        #expect(PoolState(text: state.text) == state)
        // What was cut says nothing.
        for length in 0..<state.text.utf8.count {
            let cut = PoolState<RingDescription>(text: String(decoding: state.text.utf8.prefix(length), as: UTF8.self))
            #expect(cut == nil || cut != state)
        }
    }

    /// A bad cable, or somebody without the secret.
    @Test func whatWasChangedSaysNothing() {
        let state = PoolState(epoch: 7, stage: .joining(from: Self.old, to: Self.new))
        let seal = StateSeal(secret: Array("secret".utf8))
        let text = seal.sealed(state)
        #expect(seal.opened(text) == state)
        #expect(StateSeal(secret: Array("another".utf8)).opened(text) == nil)
        #expect(seal.opened(state.text) == nil && seal.opened("complete") == nil && seal.opened("") == nil)
        for index in text.utf8.indices {
            for bit in 0..<7 {
                var bytes = Array(text.utf8)
                bytes[text.utf8.distance(from: text.utf8.startIndex, to: index)] ^= 1 << UInt8(bit)
                #expect(seal.opened(String(decoding: bytes, as: UTF8.self)) == nil)
            }
        }
    }

    @Test(arguments: [
        "", "complete", "\n", "epoch 1 stable\n", "epoch -1 stable\nring ketama 2\nserver a 1 1 serving\n",
        "epoch 1 stable\nring none 2\nserver a 1 1 serving\n", "epoch 1 stable\nring ketama 9\nserver a 1 1 serving\n",
        "epoch 1 stable\nring ketama 2\n", "epoch 1 joining\nring ketama 2\nserver a 1 1 serving\n",
        "epoch 1 stable\nserver a 1 1 serving\n", "epoch 1 stable\nring ketama 2\nserver a 99999 1 serving\n",
        "epoch 1 stable\nring ketama 2\nserver a%f 1 1 serving\n",
        "epoch 1 other\nring ketama 2\nserver a 1 1 serving\n",
        "epoch 1 stable\nring pecl_crc32 2\nserver a 1 1000000000 serving\n",
        "epoch 1 stable\nring ketama_weighted 2\nserver a 1 \(Int.max) serving\nserver b 1 \(Int.max) serving\n",
    ])
    func whatIsNoStateSaysNothing(_ text: String) {
        #expect(PoolState<RingDescription>(text: text) == nil)
    }

    @Test func aSessionHasAtMostSixteenServersInBothRings() {
        func ring(_ servers: Range<Int>, redundancy: Int) -> RingDescription {
            RingDescription(
                kind: .ketama,
                redundancy: redundancy,
                servers: servers.map { RingServer(host: "s\($0)", port: 1) }
            )
        }
        #expect(ring(0..<100, redundancy: 4).canBeReplaced(by: ring(50..<150, redundancy: 4)))
        #expect(!ring(0..<100, redundancy: 5).canBeReplaced(by: ring(0..<101, redundancy: 5)))
        #expect(ring(0..<15, redundancy: 8).canBeReplaced(by: ring(0..<16, redundancy: 8)))
        #expect(!ring(0..<16, redundancy: 8).canBeReplaced(by: ring(0..<17, redundancy: 8)))
    }
}

struct JointLayoutTests {
    private static let old = ReplicaLayout(redundancy: 2, servers: 3, placement: 5)
    private static let new = ReplicaLayout(redundancy: 2, servers: 4, placement: 6)

    private func joint(_ old: [Int], _ new: [Int], hasMoved: Bool = false) throws -> (
        set: ReplicaLayout, servers: [Int]
    ) {
        try #require(ReplicaLayout.joint(Self.old, old, Self.new, new, hasMoved: hasMoved))
    }

    @Test func aRecordIsHeldByBothRings() throws {
        // A, B, C become X, A, B.
        let (set, servers) = try self.joint([0, 1, 2], [9, 0, 1])
        #expect(servers == [0, 1, 2, 9])
        #expect(set.home == [0, 1, 3])
        #expect(set.isJoint && set.all == [0, 1, 2, 3])
        // Without A: B and C of the old ones, X and B of the new ones.
        #expect(set.holders(among: [1, 2, 3]) == [1, 2, 3])
        #expect(set.holders(among: [0, 3]) == nil)
        #expect(set.holders(among: [0, 1, 2]) == [0, 1])
        #expect(set.holders(among: [2, 3]) == nil)
    }

    @Test func theOldRingAloneIsHeardUntilAllHasMoved() throws {
        let joining = try self.joint([0, 1, 2], [9, 0, 1]).set
        #expect(joining.isQuorum([0, 2]) && joining.isQuorum([1, 2]) && !joining.isQuorum([0, 3]))
        let joined = try self.joint([0, 1, 2], [9, 0, 1], hasMoved: true).set
        #expect(joined.isQuorum([0, 1]) && !joined.isQuorum([1, 2]) && joined.isQuorum([1, 2, 3]))
        #expect(!joined.isQuorum([0, 3]))
    }

    /// Any quorum of one stage meets the holders of any other that may be in force beside it.
    @Test func neighbouringStagesMeet() throws {
        let joining = try self.joint([0, 1, 2], [9, 8, 0]).set
        let joined = try self.joint([0, 1, 2], [9, 8, 0], hasMoved: true).set
        for raw in 0..<32 {
            let positions = Positions(rawValue: UInt16(raw))
            if let holders = joining.holders(among: positions) {
                for quorum in (0..<32).map({ Positions(rawValue: UInt16($0)) }) {
                    if joining.isQuorum(quorum) || joined.isQuorum(quorum) {
                        #expect(!quorum.isDisjoint(with: holders))
                    }
                    // q of the old ring, and q of the new one (positions 3, 4, 0).
                    if quorum.intersection([0, 1, 2]).count >= 2 || quorum.intersection([0, 3, 4]).count >= 2 {
                        #expect(!quorum.isDisjoint(with: holders))
                    }
                }
            }
        }
    }

    @Test func aSessionWhoseServersStayHasNothingToDoWithIt() throws {
        let same = ReplicaLayout(redundancy: 2, servers: 4, placement: 5)
        let (set, servers) = try #require(ReplicaLayout.joint(Self.old, [0, 1, 2], same, [0, 1, 2], hasMoved: false))
        #expect(set == Self.old && servers == [0, 1, 2])
    }

    @Test func recordsFromBeforeCountUntilAllHasMoved() throws {
        let joining = try self.joint([0, 1, 2], [9, 0, 1]).set
        let joined = try self.joint([0, 1, 2], [9, 0, 1], hasMoved: true).set
        #expect(joining.names(5) && !joining.names(6) && joining.names(joining.placement))
        #expect(!joined.names(5) && joined.placement == joining.placement)
    }

    @Test func whatIsDrainedHoldsOnlyWhereOthersCannot() {
        let set = ReplicaLayout(redundancy: 2, servers: 3, placement: 5, drained: [0])
        #expect(set.home == [1, 2])
        #expect(set.holders(among: [0, 2]) == [0, 2])
        #expect(set.isQuorum([0, 1]))
    }
}
