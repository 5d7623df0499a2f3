import NIOCore
import Sessions
import Testing

@testable import Database

/// Many changes at once come to what each would come to by itself.
@Suite(.timeLimit(.minutes(3)))
struct BatchTests {
    @Test(arguments: DatabaseKind.allCases)
    func everyChangeOfABatchHasItsOwnResult(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let keys = try (0..<12).map { _ in try test.freshKey() }
            let old = WriteIdentity(version: 10, writer: 7)
            for key in keys[..<9] {
                try await test.database.change(.insert(test.row(key, version: 10, expires: 1_000)))
            }
            var tombstone = test.row(keys[8], version: 11, text: "")
            tombstone.record.isTombstone = true
            try await test.database.change(.tombstone(tombstone))
            var unknown = tombstone
            unknown.key = keys[11]

            let results = try await test.database.changes([
                .upsert(test.row(keys[0], version: 20, text: "newer")),
                .upsert(test.row(keys[1], version: 9, text: "older")),
                .upsert(test.row(keys[9], version: 20, text: "new")),
                .upsert(test.row(keys[8], version: 20, text: "destroyed")),
                .insert(test.row(keys[2], version: 20, text: "taken")),
                .insert(test.row(keys[10], version: 20, text: "free")),
                .compareAndSave(test.row(keys[3], version: 20, text: "compared"), base: old),
                .mark(keys[4], newest: 30),
                .postpone(keys[5], old, due: 77),
                .delete(keys[6], old, dueBefore: .max, expiresBefore: .max),
                .touch(keys[7], expires: 5_000, due: 6_000),
                .tombstone(unknown),
            ])
            #expect(
                results == [
                    .applied, .refused(current: old), .applied, .refused(current: nil), .refused(current: old),
                    .applied,
                    .applied, .applied, .applied, .applied, .applied, .applied,
                ]
            )
            var texts: [String?] = []
            for key in keys { texts.append(try await test.text(key)) }
            #expect(
                texts == [
                    "newer", "data", "data", "compared", "data", "data", nil, "data", "", "new", "free", "",
                ]
            )
            #expect(try await test.database.row(keys[4])?.newest == 30)
            #expect(try await test.database.row(keys[5])?.due == 77)
            #expect(try await test.database.row(keys[7])?.expires == 5_000)
        }
    }

    /// More than one round trip carries.
    @Test(arguments: DatabaseKind.allCases)
    func largeSessionsGoInSeveralParts(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let keys = try (0..<9).map { _ in try test.freshKey() }
            for version in [UInt64(10), 20] {
                let changes = keys.enumerated().map { number, key in
                    var row = test.row(key, version: version)
                    row.record.payload = ByteBuffer(repeating: UInt8(number), count: number == 4 ? 1_500_000 : 300_000)
                    return RowChange.upsert(row)
                }
                let results = try await test.database.changes(changes)
                #expect(results == Array(repeating: .applied, count: keys.count))
            }
            for (number, key) in keys.enumerated() {
                let row = try #require(try await test.database.row(key))
                #expect(row.record.identity.version == 20)
                #expect(row.record.payload.readableBytesView.allSatisfy { $0 == UInt8(number) })
            }
        }
    }
}
