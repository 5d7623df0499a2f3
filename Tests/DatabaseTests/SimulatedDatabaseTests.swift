import NIOCore
import Sessions
import Simulation
import Testing

/// The simulation's database does what the real ones do.
struct SimulatedDatabaseTests {
    @Test(arguments: DatabaseKind.allCases)
    func changesApplyAlikeInWhateverOrder(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            var model = SimulatedDatabase()
            var random = SeededRandom(state: 42)
            let keys = try (0..<4).map { _ in try test.freshKey() }
            for number in 0..<(kind == .sqlite ? 1_500 : 500) {
                let key = keys[Int(random.next() % 4)]
                let change = Self.change(test, key, &random)
                let (real, modelled) = (try await test.database.change(change), model.apply(change))
                #expect(real == modelled, "change \(number)")
                #expect(try await test.database.row(key) == model.load(key), "change \(number)")
                if real != modelled { return }
            }
        }
    }

    private static func change(_ test: TestDatabase, _ key: SessionKey, _ random: inout SeededRandom) -> RowChange {
        func number(_ count: UInt64) -> UInt64 { random.next() % count + 1 }
        let version = number(12)
        var row = test.row(key, version: version, writer: number(2), expires: number(9) * 1_000, due: number(9) * 100)
        row.record.ancestors = (0..<number(8)).map { _ in WriteIdentity(version: number(version), writer: number(2)) }
        row.record.absoluteDeadline = 20_000
        if number(3) == 1 { row.newest = row.maybeNewer }
        let identity = WriteIdentity(version: number(12), writer: number(2))
        switch number(20) {
        case ..<4: return .insert(row)
        case ..<8: return .compareAndSave(row, base: identity)
        case ..<11: return .upsert(row)
        case ..<14: return .upsert(row, over: .ancestors)
        case 14 where number(4) == 1:
            row.record.isTombstone = true
            row.record.ancestors = []
            row.record.payload.clear()
            row.expires = row.record.absoluteDeadline
            return .tombstone(row)
        case ..<16:
            return .touch(
                key,
                expires: number(12) * 1_000,
                due: number(9) * 100,
                newest: number(15) - 1,
                soon: number(9) * 100
            )
        case ..<17: return .mark(key, newest: number(15))
        case ..<18: return .confirm(key, identity)
        case 18: return number(2) == 1 ? .makeDue(key, identity) : .postpone(key, identity, due: number(9) * 100)
        default: return .delete(key, identity, dueBefore: number(12) * 100, expiresBefore: number(12) * 1_000)
        }
    }
}

private struct SeededRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return self.state >> 33
    }
}
