import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Database

/// What every database does alike.
@Suite(.timeLimit(.minutes(3)))
struct SessionDatabaseTests {
    @Test(arguments: DatabaseKind.allCases)
    func aRowIsReadAsItWasWritten(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            #expect(try await test.database.row(key) == nil)
            var row = test.row(key, version: 10, writer: .max)
            row.record.payload = ByteBuffer(bytes: (0..<200_000).map { UInt8(truncatingIfNeeded: $0) })
            #expect(try await test.database.change(.insert(row)) == .applied)
            #expect(try await test.database.row(key) == row)
            // An empty blob is no missing one.
            let empty = try test.freshKey()
            #expect(try await test.database.change(.insert(test.row(empty, version: 10, text: ""))).isApplied)
            #expect(try await test.text(empty) == "")
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aTakenKeyIsNotInserted(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            #expect(try await test.database.change(.insert(test.row(key, version: 10))).isApplied)
            let other = test.row(key, version: 20, text: "other")
            #expect(
                try await test.database.change(.insert(other))
                    == .refused(current: WriteIdentity(version: 10, writer: 7))
            )
            #expect(try await test.text(key) == "data")
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aSaveFromAnotherStateIsRefused(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            let base = WriteIdentity(version: 10, writer: 7)
            let absent = test.row(key, version: 11)
            #expect(try await test.database.change(.compareAndSave(absent, base: base)) == .refused(current: nil))
            try await test.database.change(.insert(test.row(key, version: 10)))
            let first = test.row(key, version: 12, text: "first")
            #expect(try await test.database.change(.compareAndSave(first, base: base)).isApplied)
            let second = test.row(key, version: 13, text: "second")
            #expect(
                try await test.database.change(.compareAndSave(second, base: base))
                    == .refused(current: first.record.identity)
            )
            // One whose answer was lost finds itself.
            #expect(try await test.database.change(.compareAndSave(first, base: base)).isApplied)
            #expect(try await test.text(key) == "first")
            #expect(try await test.database.row(key)?.saves == 2)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func anOlderVersionNeverReplacesANewerOne(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            #expect(try await test.database.change(.upsert(test.row(key, version: 20, text: "new"))).isApplied)
            #expect(
                try await test.database.change(.upsert(test.row(key, version: 19, text: "old")))
                    == .refused(current: WriteIdentity(version: 20, writer: 7))
            )
            // Of two of one version the first stays.
            #expect(
                try await !test.database.change(.upsert(test.row(key, version: 20, writer: 8, text: "twin"))).isApplied
            )
            #expect(try await test.text(key) == "new")
            // What may be of another line replaces an ancestor only.
            var late = test.row(key, version: 30, text: "late")
            #expect(try await !test.database.change(.upsert(late, over: .ancestors)).isApplied)
            late.record.ancestors = [25, 20, 19].map { WriteIdentity(version: $0, writer: 7) }
            #expect(try await test.database.change(.upsert(late, over: .ancestors)).isApplied)
            #expect(try await test.text(key) == "late")
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aDestroyedSessionStaysDestroyed(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 50)))
            var tombstone = test.row(key, version: 40, text: "")
            tombstone.record.isTombstone = true
            tombstone.record.absoluteDeadline = 77
            #expect(try await test.database.change(.tombstone(tombstone)).isApplied)
            let row = try #require(try await test.database.row(key))
            #expect(row.record.isTombstone && row.record.payload.readableBytes == 0)
            #expect(row.record.absoluteDeadline == 9_000_000 && row.expires == 9_000_000)
            #expect(!row.isLive(at: 1))
            for change in [
                RowChange.upsert(test.row(key, version: 60)), .insert(test.row(key, version: 61)),
                .compareAndSave(test.row(key, version: 62), base: row.record.identity),
                .touch(key, expires: 99_000_000, due: 99_000_000), .mark(key, newest: 99),
            ] {
                #expect(try await !test.database.change(change).isApplied)
            }
            #expect(try await test.database.row(key)?.record.isTombstone == true)
            // Of a session that the database never had.
            let unknown = try test.freshKey()
            var other = tombstone
            other.key = unknown
            #expect(try await test.database.change(.tombstone(other)).isApplied)
            #expect(try await !test.database.change(.upsert(test.row(unknown, version: 60))).isApplied)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func expirySlidesAndNeverBack(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 10, expires: 1_000)))
            #expect(try await test.database.change(.touch(key, expires: 3_000, due: 3_500)).isApplied)
            #expect(try await !test.database.change(.touch(key, expires: 2_000, due: 2_500)).isApplied)
            let row = try #require(try await test.database.row(key))
            #expect(row.expires == 3_000 && row.due == 3_500 && row.record.identity.version == 10)
            let early = try test.freshKey()
            try await test.database.change(.insert(test.row(early, version: 10, expires: 1_000, due: 500)))
            #expect(try await test.database.change(.touch(early, expires: 3_000, due: 2_500)).isApplied)
            #expect(try await test.database.row(early)?.due == 500)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aRowThatIsOlderThanWhatWasReadIsDueSoon(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 10, expires: 1_000)))
            func read(_ version: UInt64, expires: UInt64, soon: UInt64) -> RowChange {
                .touch(key, expires: expires, due: expires, newest: version, soon: soon)
            }
            // In whatever state the expiry is.
            #expect(try await test.database.change(read(12, expires: 900, soon: 1_100)).isApplied)
            var row = try #require(try await test.database.row(key))
            #expect(row.newest == 12 && row.hasGoneBack && row.expires == 1_000 && row.due == 1_000)
            #expect(try await test.database.change(read(12, expires: 3_000, soon: 800)).isApplied)
            row = try #require(try await test.database.row(key))
            #expect(row.expires == 3_000 && row.due == 800)
            // It is not put off by the next read, nor by one of something older.
            #expect(try await test.database.change(read(12, expires: 4_000, soon: 2_000)).isApplied)
            #expect(try await test.database.change(read(11, expires: 5_000, soon: 2_000)).isApplied)
            row = try #require(try await test.database.row(key))
            #expect(row.newest == 12 && row.expires == 5_000 && row.due == 800)
            #expect(try await !test.database.change(read(12, expires: 5_000, soon: 100)).isApplied)
            // What memcached is still to be told stays that.
            let alone = test.row(key, version: 13, expires: 6_000, due: SessionRow.unplaced)
            try await test.database.change(.upsert(alone))
            #expect(try await test.database.change(read(14, expires: 7_000, soon: 100)).isApplied)
            #expect(try await test.database.row(key)?.due == SessionRow.unplaced)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func whatIsWrittenAgainSinceItsAnswerWasLostCountsOnce(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 10)))
            for _ in 0..<2 { try await test.database.change(.upsert(test.row(key, version: 11))) }
            #expect(try await test.database.row(key)?.saves == 2)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aMarkThatCameInBetweenOutlivesASave(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 10)))
            try await test.database.change(.mark(key, newest: 20))
            let base = WriteIdentity(version: 10, writer: 7)
            #expect(try await test.database.change(.compareAndSave(test.row(key, version: 15), base: base)).isApplied)
            #expect(try await test.database.row(key)?.newest == 20)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func manyExpiriesSlideTogether(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let keys = try (0..<300).map { _ in try test.freshKey() }
            var rows: [RowChange] = []
            for (number, key) in keys.enumerated() where number % 3 != 2 {
                var row = test.row(key, version: 10, expires: number == 0 ? 5_000 : 1_000)
                row.record.isTombstone = number % 3 == 1
                rows.append(row.record.isTombstone ? .tombstone(row) : .insert(row))
            }
            _ = try await test.database.changes(rows)
            let results = try await test.database.changes(keys.map { .touch($0, expires: 3_000, due: 3_000) })
            for (number, result) in results.enumerated() {
                let expected: RowChangeResult =
                    number == 0 || number % 3 == 1 ? .refused(current: nil) : number % 3 == 2 ? .absent : .applied
                #expect(result == expected, "\(number)")
            }
            #expect(try await test.database.row(keys[3])?.expires == 3_000)
            #expect(try await test.database.row(keys[0])?.expires == 5_000)
            #expect(try await test.database.row(keys[2]) == nil)
            // The connection is as it was.
            #expect(try await test.database.change(.touch(keys[3], expires: 4_000, due: 4_000)) == .applied)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aNewerVersionThatIsKnownOfIsRemembered(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            let row = test.row(key, version: 10)
            try await test.database.change(.insert(row))
            #expect(try await test.database.row(key)?.hasGoneBack == false)
            #expect(try await test.database.change(.mark(key, newest: 15)).isApplied)
            #expect(try await !test.database.change(.mark(key, newest: 12)).isApplied)
            #expect(try await test.database.row(key)?.hasGoneBack == true)
            // What comes late and is still older leaves it so.
            try await test.database.change(.upsert(test.row(key, version: 12)))
            #expect(try await test.database.row(key)?.hasGoneBack == true)
            // The session has gone back to it: it goes on above what is lost.
            let base = WriteIdentity(version: 12, writer: 7)
            #expect(try await test.database.change(.compareAndSave(test.row(key, version: 16), base: base)).isApplied)
            #expect(try await test.database.row(key)?.hasGoneBack == false)
            #expect(try await !test.database.change(.upsert(test.row(key, version: 15))).isApplied)
            try await test.database.change(.mark(key, newest: 18))
            try await test.database.change(.upsert(test.row(key, version: 18)))
            #expect(try await test.database.row(key)?.hasGoneBack == false)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aRowThatMayBeOldIsConfirmedUnlessMoreIsKnown(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            var row = test.row(key, version: 10)
            row.newest = row.maybeNewer
            try await test.database.change(.insert(row))
            let (written, other) = (row.record.identity, WriteIdentity(version: 10, writer: 8))
            #expect(try await !test.database.change(.confirm(key, other)).isApplied)
            #expect(try await test.database.row(key)?.hasGoneBack == true)
            #expect(try await test.database.change(.confirm(key, written)).isApplied)
            #expect(try await test.database.row(key)?.hasGoneBack == false)
            #expect(try await !test.database.change(.confirm(key, written)).isApplied)
            try await test.database.change(.mark(key, newest: 15))
            #expect(try await !test.database.change(.confirm(key, written)).isApplied)
            #expect(try await test.database.row(key)?.newest == 15)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func dueRowsComeInBatchesByTime(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let other = try #require(SessionKeyspace(prefix: "sg:", site: "other"))
            var changes: [RowChange] = []
            var expected: Set<SessionKey> = []
            for number in 0..<250 {
                let key = try test.freshKey()
                // Many have the same time.
                let due = UInt64(100 + number / 50)
                if due <= 103 { expected.insert(key) }
                changes.append(.insert(test.row(key, version: 10, text: "12345", due: due)))
            }
            var random = SystemRandom()
            let foreign = other.key(for: SessionID.generate(using: &random))
            changes.append(.insert(test.row(foreign, version: 10, due: 1)))
            #expect(try await test.database.changes(changes).allSatisfy(\.isApplied))
            #expect(try await test.database.dueRows(test.keyspace, at: 103) == 200)
            var found: [DueRow] = []
            var cursor: DueCursor?
            while true {
                let batch = try await test.database.due(test.keyspace, at: 103, after: cursor, limit: 33)
                guard let last = batch.last else { break }
                #expect(batch.count <= 33)
                found += batch
                cursor = DueCursor(after: last)
            }
            #expect(found.count == 200 && Set(found.map(\.key)) == expected)
            #expect(found.map(\.due) == found.map(\.due).sorted())
            #expect(found.allSatisfy { $0.size == 5 && $0.identity.version == 10 && $0.saves == 1 })
            let batch = try await test.database.due(other, at: 103, after: nil, limit: 10)
            #expect(batch.map(\.key) == [foreign])
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aRowGoesOnlyIfNobodyCameInBetween(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            let row = test.row(key, version: 10, expires: 1_000)
            try await test.database.change(.insert(row))
            try await test.database.change(.touch(key, expires: 3_000, due: 3_000))
            #expect(
                try await !test.database.change(
                    .delete(key, row.record.identity, dueBefore: 1_500, expiresBefore: .max)
                ).isApplied
            )
            #expect(
                try await !test.database.change(
                    .delete(key, WriteIdentity(version: 10, writer: 8), dueBefore: 5_000, expiresBefore: .max)
                )
                .isApplied
            )
            #expect(try await test.database.change(.postpone(key, row.record.identity, due: 1_200)).isApplied)
            // Due before it expires, as it stays when its expiry slides: that alone shows that somebody came.
            try await test.database.change(.touch(key, expires: 4_000, due: 4_000))
            #expect(try await test.database.row(key)?.due == 1_200)
            let late = RowChange.delete(key, row.record.identity, dueBefore: 1_200, expiresBefore: 3_000)
            #expect(try await !test.database.change(late).isApplied)
            let inTime = RowChange.delete(key, row.record.identity, dueBefore: 1_200, expiresBefore: 4_000)
            #expect(try await test.database.change(inTime).isApplied)
            #expect(try await test.database.row(key) == nil)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aRowThatMemcachedHasNotHeardOfIsNotMadeDue(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            var row = test.row(key, version: 10, expires: 1_000)
            row.due = SessionRow.unplaced
            try await test.database.change(.insert(row))
            #expect(try await !test.database.change(.makeDue(key, row.record.identity)).isApplied)
            #expect(try await test.database.row(key)?.due == SessionRow.unplaced)
            #expect(try await test.database.change(.postpone(key, row.record.identity, due: 1_000)).isApplied)
            let other = WriteIdentity(version: 10, writer: 8)
            #expect(try await !test.database.change(.makeDue(key, other)).isApplied)
            #expect(try await test.database.change(.makeDue(key, row.record.identity)).isApplied)
            #expect(try await test.database.row(key)?.due == SessionRow.dueAtOnce)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func ofSavesFromOneStateOneWins(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 10)))
            // Two processes, as far as the database can tell.
            let second = try test.configuration.open()
            var winners = 0
            for round in 0..<10 {
                let base = try #require(try await test.database.row(key)).record.identity
                winners += try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<8 {
                        let database = number.isMultiple(of: 2) ? test.database : second
                        let row = test.row(key, version: UInt64(100 + round * 8 + number), text: "\(number)")
                        group.addTask { try await database.change(.compareAndSave(row, base: base)).isApplied }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
            }
            await second.close()
            #expect(winners == 10)
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func batchesThatMeetDoNotLockOneAnotherOut(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let keys = try (0..<40).map { _ in try test.freshKey() }
            let second = try test.configuration.open()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<6 {
                    let database = writer.isMultiple(of: 2) ? test.database : second
                    group.addTask {
                        for round in 0..<10 {
                            let changes = keys.shuffled().enumerated().map { index, key -> RowChange in
                                let row = test.row(key, version: UInt64(10 + round), writer: UInt64(writer))
                                return index.isMultiple(of: 7)
                                    ? .delete(key, row.record.identity, dueBefore: .max, expiresBefore: .max)
                                    : .upsert(row)
                            }
                            _ = try await database.changes(changes)
                        }
                    }
                }
                try await group.waitForAll()
            }
            await second.close()
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func oneLeads(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind) { test in
            let second = try test.configuration.open()
            let lease = try #require(try await test.database.leader(test.keyspace))
            #expect(await lease.isHeld())
            #expect(try await second.leader(test.keyspace) == nil)
            #expect(try await test.database.leader(test.keyspace) == nil)
            let other = try #require(SessionKeyspace(prefix: "sg:", site: "other"))
            let otherLease = try #require(try await second.leader(other))
            await otherLease.giveBack()
            await lease.giveBack()
            let next = try #require(try await second.leader(test.keyspace))
            await next.giveBack()
            await second.close()
        }
    }
}
