import NIOCore
import Testing

@testable import Sessions

struct SyncQueueTests {
    private static let keyspace = SessionKeyspace(prefix: "sg:", site: "test")

    private static func row(
        _ number: Int,
        version: UInt64,
        after base: UInt64? = nil,
        synced: UInt64 = 0,
        size: Int = 10,
        isTombstone: Bool = false
    ) throws -> SessionRow {
        let id = try #require(SessionID("session-number-\(number)-and-more"))
        let record = SessionRecord(
            identity: WriteIdentity(version: version, writer: 1),
            ancestors: base.map { [WriteIdentity(version: $0, writer: 1)] } ?? [],
            isTombstone: isTombstone,
            created: 0,
            written: 0,
            databaseSynced: synced,
            idleSeconds: 100,
            absoluteDeadline: .max,
            payload: ByteBuffer(repeating: 1, count: size)
        )
        let key = try #require(Self.keyspace).key(for: id)
        return SessionRow(key: key, record: record, expires: 1_000_000, due: 1_000_000, synced: 0)
    }

    private static func versions(_ changes: [RowChange]) -> [String] {
        changes.map { change in
            switch change {
            case .upsert(let row, _): "upsert \(row.record.identity.version)"
            case .tombstone(let row): "tombstone \(row.record.identity.version)"
            case .mark(_, let newest): "mark \(newest)"
            default: "another"
            }
        }
    }

    @Test func aSaveIsDueAnIntervalAfterTheLastOne() {
        let queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        #expect(!queue.isDue(lastSynced: 1_000, at: 1_119))
        #expect(queue.isDue(lastSynced: 1_000, at: 1_120))
        #expect(queue.isDue(lastSynced: 0, at: 1_120))
        // A gateway whose clock is ahead wrote it: not for ever.
        #expect(!queue.isDue(lastSynced: 1_100, at: 1_000))
        #expect(queue.isDue(lastSynced: 1_121, at: 1_000))
    }

    /// Another gateway has written the row with a durable save: what follows that is not in it.
    @Test func theRowIsMarkedAgainWhereSomebodyElseHasWrittenIt() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10, synced: 950), isDue: false, at: 1_000)
        queue.saved(try Self.row(1, version: 11, after: 10, synced: 950), isDue: false, at: 1_001)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_001)) == ["mark 10"])
        queue.saved(try Self.row(1, version: 12, after: 11, synced: 950), isDue: false, at: 1_010)
        #expect(queue.nextBatch(limit: 10, at: 1_010).isEmpty)
        queue.saved(try Self.row(1, version: 14, after: 12, synced: 1_020), isDue: false, at: 1_030)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_030)) == ["mark 14"])
        // It is due as before.
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_070)) == ["upsert 14"])
    }

    @Test func marksDoNotWaitForAllThatIsDue() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        for number in 0..<40 {
            queue.saved(
                try Self.row(number, version: UInt64(10 + number), synced: 1_000),
                isDue: number < 10,
                at: 1_000
            )
        }
        var written: [[Int]] = []
        while case let batch = queue.nextBatch(limit: 4, at: 1_001), !batch.isEmpty {
            queue.batchWritten(batch, at: 1_001)
            written.append([batch.count { $0.row != nil }, batch.count { $0.row == nil }])
        }
        #expect(written == [[4, 16], [4, 14], [2, 0]])
    }

    @Test func noRowIsComparedWhileAGatewayMayHaveToWriteIt() throws {
        let keyspace = try #require(Self.keyspace)
        var configuration = TierConfiguration(
            keyspace: keyspace,
            idleLifetime: .seconds(3_600),
            absoluteLifetime: .seconds(86_400)
        )
        configuration.minimumReapAfter = .seconds(2)
        configuration.syncInterval = .seconds(5)
        #expect(configuration.reapAfter == .seconds(10))
        configuration.minimumReapAfter = .seconds(30)
        #expect(configuration.reapAfter == .seconds(30))
    }

    @Test func whatIsDueGoesAtOnceAndWhatIsNotLeavesAMark() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10, synced: 1_000), isDue: true, at: 1_000)
        queue.saved(try Self.row(2, version: 20, synced: 950), isDue: false, at: 1_000)
        let batch = queue.nextBatch(limit: 10, at: 1_000)
        #expect(Self.versions(batch) == ["mark 20", "upsert 10"])
        queue.batchWritten(batch, at: 1_001)
        #expect(queue.count == 1)
        // The mark is made once.
        #expect(queue.nextBatch(limit: 10, at: 1_069).isEmpty)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_070)) == ["upsert 20"])
    }

    @Test func theNewestStateOfASessionIsKept() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        for version in [11, 13, 12] as [UInt64] {
            queue.saved(try Self.row(1, version: version, synced: 1_000), isDue: false, at: 1_010)
        }
        #expect(queue.count == 1)
        #expect(queue.waiting(try Self.row(1, version: 0).key)?.record.identity.version == 13)
        let batch = queue.nextBatch(limit: 10, at: 1_120)
        guard case .upsert(let row, _)? = batch.first else {
            Issue.record("\(batch.count) changes")
            return
        }
        #expect(row.record.identity.version == 13 && row.saves == 2)
    }

    @Test func aStateThatCameWhileAnOlderOneWasWrittenWaitsForItsTurn() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10), isDue: true, at: 1_000)
        let batch = queue.nextBatch(limit: 10, at: 1_000)
        queue.saved(try Self.row(1, version: 11, synced: 1_000), isDue: false, at: 1_001)
        // Not in two batches at a time.
        #expect(queue.nextBatch(limit: 10, at: 2_000).isEmpty)
        queue.batchWritten(batch, at: 1_002)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_003)) == ["mark 11"])
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_122)) == ["upsert 11"])
    }

    @Test func whatFailedStaysDue() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10), isDue: true, at: 1_000)
        queue.saved(try Self.row(2, version: 20, synced: 990), isDue: false, at: 1_000)
        queue.batchFailed(queue.nextBatch(limit: 10, at: 1_000))
        #expect(queue.lag(at: 1_500) == 500)
        queue.saved(try Self.row(1, version: 12, synced: 1_000), isDue: false, at: 1_010)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_011)) == ["mark 20", "upsert 12"])
    }

    @Test func batchesAreBounded() throws {
        var queue = SyncQueue(interval: 120, limit: 10_000_000, writer: 1)
        for number in 0..<100 { queue.saved(try Self.row(number, version: 10), isDue: true, at: 1_000) }
        var sizes: [Int] = []
        while case let batch = queue.nextBatch(limit: 30, at: 1_000), !batch.isEmpty {
            sizes.append(batch.count)
            queue.batchWritten(batch, at: 1_000)
        }
        #expect(sizes == [30, 30, 30, 10])
        #expect(queue.count == 0 && queue.bytes == 0)
    }

    @Test func whatDoesNotFitIsDroppedAndCounted() throws {
        var queue = SyncQueue(interval: 120, limit: 10_000, writer: 1)
        #expect(queue.saved(try Self.row(1, version: 10, size: 5_000), isDue: true, at: 1_000) == true)
        #expect(queue.saved(try Self.row(2, version: 10, size: 5_000), isDue: true, at: 1_000) == false)
        #expect(queue.overflows == 1 && queue.count == 1)
        // The one that waits keeps its older state rather than none.
        #expect(queue.saved(try Self.row(1, version: 11, size: 9_500), isDue: true, at: 1_000) == false)
        // The rows say that there is more.
        var later = queue
        later.batchWritten(later.nextBatch(limit: 10, at: 1_000), at: 1_000)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_000)).sorted() == ["mark 10", "upsert 10"])
        #expect(Self.versions(later.nextBatch(limit: 10, at: 1_001)) == ["mark 11"])
        #expect(queue.waiting(try Self.row(1, version: 0).key)?.record.identity.version == 10)
        // A destroyed session is never forgotten for want of room.
        #expect(queue.saved(try Self.row(3, version: 10, size: 9_000, isTombstone: true), isDue: true, at: 0) == true)
    }

    @Test func whatMayHaveBeenSavedLeavesAMarkToo() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10, synced: 1_000), isDue: true, at: 1_000)
        let key = try Self.row(1, version: 0).key
        queue.mayHave(key, newest: 30)
        queue.mayHave(key, newest: 20)
        // One change of a session in each batch.
        let batch = queue.nextBatch(limit: 10, at: 1_000)
        #expect(Self.versions(batch) == ["upsert 10"])
        #expect(queue.nextBatch(limit: 10, at: 1_000).isEmpty)
        queue.batchWritten(batch, at: 1_001)
        let marks = queue.nextBatch(limit: 10, at: 1_001)
        #expect(Self.versions(marks) == ["mark 30"])
        queue.batchFailed(marks)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_001)) == ["mark 30"])
        queue.batchWritten(marks, at: 1_002)
        queue.mayHave(key, newest: 30)
        // The row has something newer by now.
        queue.written(key, version: 31)
        #expect(queue.nextBatch(limit: 10, at: 1_002).isEmpty)
    }

    @Test func tombstonesAreTakenWhateverWaitsAndNotWithoutEnd() throws {
        var queue = SyncQueue(interval: 120, limit: 1, writer: 1)
        for number in 0..<SyncQueue.maximumTombstones {
            #expect(queue.saved(try Self.row(number, version: 10, isTombstone: true), isDue: true, at: 1_000) == true)
        }
        let next = try Self.row(-1, version: 10, isTombstone: true)
        #expect(queue.saved(next, isDue: true, at: 1_000) == false)
        #expect(queue.overflows == 1)
        // One that waits already does not count twice.
        #expect(queue.saved(try Self.row(0, version: 11, isTombstone: true), isDue: true, at: 1_000) == true)
        let batch = queue.nextBatch(limit: 10, at: 1_000)
        queue.batchWritten(batch, at: 1_001)
        #expect(queue.saved(next, isDue: true, at: 1_000) == true)
    }

    @Test func aDestroyedSessionIsNotSavedAgain() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10), isDue: true, at: 1_000)
        queue.saved(try Self.row(1, version: 5, size: 0, isTombstone: true), isDue: true, at: 1_000)
        queue.saved(try Self.row(1, version: 12), isDue: true, at: 1_000)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_000)) == ["tombstone 5"])
    }

    /// Found by the simulation: the sign-out was acknowledged by memcached, which then lost its memory.
    @Test func aSaveThatWasUnderWayTakesNoSignOutAway() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        let tombstone = try Self.row(1, version: 10, isTombstone: true)
        queue.saved(tombstone, isDue: true, at: 1_000)
        queue.written(tombstone.key, version: 12)
        let batch = queue.nextBatch(limit: 9, at: 1_000)
        #expect(Self.versions(batch) == ["tombstone 10"])
        queue.batchFailed(batch)
        queue.written(tombstone.key, version: 10, isTombstone: true)
        #expect(queue.count == 0)
    }

    @Test func whatTheDatabaseGotOtherwiseIsForgotten() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        let row = try Self.row(1, version: 10, synced: 1_000)
        queue.saved(row, isDue: false, at: 1_000)
        queue.written(row.key, version: 9)
        #expect(queue.count == 1)
        queue.written(row.key, version: 10)
        #expect(queue.count == 0)
        #expect(queue.nextBatch(limit: 10, at: 9_999).isEmpty)
    }

    @Test func theEndTakesWhatIsNotDue() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10, synced: 1_000), isDue: false, at: 1_000)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_000, isLast: true)) == ["upsert 10"])
    }

    @Test func twoBatchesAtOnceDoNotEndEachOthersSaves() throws {
        var queue = SyncQueue(interval: 120, limit: 1_000_000, writer: 1)
        queue.saved(try Self.row(1, version: 10, synced: 1_000), isDue: false, at: 1_000)
        let marks = queue.nextBatch(limit: 10, at: 1_000)
        let saves = queue.nextBatch(limit: 10, at: 1_120)
        #expect(Self.versions(marks + saves) == ["mark 10", "upsert 10"])
        #expect(queue.nextBatch(limit: 10, at: 1_120).isEmpty)
        queue.batchWritten(marks, at: 1_121)
        #expect(queue.count == 1)
        queue.batchFailed(saves)
        let again = queue.nextBatch(limit: 10, at: 1_122)
        #expect(Self.versions(again) == ["upsert 10"])
        // A mark that failed is not made again beside the save.
        queue.batchFailed(marks)
        #expect(queue.nextBatch(limit: 10, at: 1_122).isEmpty)
        queue.batchWritten(again, at: 1_123)
        #expect(queue.count == 0)
    }

    @Test func anotherIntervalAndLimitHoldForWhatComesThen() throws {
        var queue = SyncQueue(interval: 120, limit: 10_000, writer: 1)
        queue.saved(try Self.row(1, version: 10, synced: 1_000), isDue: false, at: 1_000)
        queue.interval = 10
        queue.limit = 1
        #expect(queue.isDue(lastSynced: 1_000, at: 1_010))
        #expect(queue.saved(try Self.row(2, version: 10), isDue: true, at: 1_000) == false)
        #expect(queue.count == 1)
        #expect(Self.versions(queue.nextBatch(limit: 10, at: 1_120)) == ["mark 10", "upsert 10"])
    }
}
