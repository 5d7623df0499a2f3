import NIOCore
import Testing

@testable import Sessions

/// What several gateways save, one of which may be dead when another one writes the row.
struct RivalTests {
    private static let keyspace = SessionKeyspace(prefix: "sg:", site: "test")
    private let key: SessionKey
    private var queue = SyncQueue(interval: 5_000, limit: 1_000_000, writer: 1)

    init() throws {
        self.key = try #require(Self.key(1))
    }

    private static func key(_ number: Int) -> SessionKey? {
        SessionID("session-number-\(number)-and-more").flatMap { id in Self.keyspace.map { $0.key(for: id) } }
    }

    private func row(
        _ version: UInt64,
        after base: WriteIdentity,
        by writer: UInt64 = 1,
        synced: UInt64 = 0,
        _ key: SessionKey? = nil
    ) -> SessionRow {
        let record = SessionRecord(
            identity: WriteIdentity(version: version, writer: writer),
            ancestors: [base],
            created: 0,
            written: 0,
            databaseSynced: synced,
            idleSeconds: 100,
            absoluteDeadline: .max,
            payload: ByteBuffer()
        )
        return SessionRow(key: key ?? self.key, record: record, expires: 1_000_000, due: 1_000_000, synced: 0)
    }

    private static let own = WriteIdentity(version: 10, writer: 1)
    private static let rivals = WriteIdentity(version: 10, writer: 2)
    private static let written = WriteIdentity(version: 20, writer: 1)

    private static func names(_ changes: [RowChange]) -> [String] {
        changes.map { change in
            switch change {
            case .upsert(let row, _): "upsert \(row.record.identity.version)\(row.hasGoneBack ? ", may be old" : "")"
            case .mark(_, let newest): "mark \(newest)"
            case .confirm(_, let identity): "confirm \(identity.version)"
            default: "another"
            }
        }
    }

    private mutating func batch(at now: UInt64, isWritten: Bool = true) -> [String] {
        let batch = self.queue.nextBatch(limit: 10, at: now)
        if isWritten { self.queue.batchWritten(batch, at: now) } else { self.queue.batchFailed(batch) }
        return Self.names(batch)
    }

    /// Written while another gateway may have saved something newer.
    private mutating func write() {
        self.queue.saved(self.row(20, after: Self.rivals), isDue: false, at: 2_000)
        #expect(self.batch(at: 2_000) == ["mark 20"])
        #expect(self.batch(at: 5_000) == ["upsert 20, may be old"])
        // Whoever saved before may go on from it so long without seeing that there is a row to be told.
        #expect(self.queue.toAsk(limit: 10, at: 9_999).isEmpty)
        #expect(self.queue.toAsk(limit: 10, at: 10_000).map(\.written) == [Self.written])
    }

    @Test mutating func aRowThatNobodyElseHasSavedIsTheNewest() {
        self.queue.saved(self.row(20, after: Self.own), isDue: false, at: 2_000)
        #expect(!self.queue.hasRival(self.key, 20))
        _ = self.batch(at: 2_000)
        #expect(self.batch(at: 5_000) == ["upsert 20"] && self.queue.questionCount == 0)
    }

    @Test mutating func aRowThatSomebodyElseHasSavedMayBeOldUntilMemcachedHasNothingNewer() {
        self.write()
        self.queue.answered(self.key, Self.written, found: Self.written)
        #expect(self.batch(at: 5_001, isWritten: false) == ["confirm 20"])
        // Asked again, as the database was away.
        self.queue.answered(self.key, Self.written, found: Self.written)
        #expect(self.batch(at: 5_002) == ["confirm 20"] && self.queue.questionCount == 0)
        #expect(self.batch(at: 5_003).isEmpty)
    }

    @Test mutating func whereMemcachedHasSomethingNewerTheRowIsOld() {
        self.write()
        self.queue.answered(self.key, Self.written, found: WriteIdentity(version: 25, writer: 2))
        #expect(self.batch(at: 5_001) == ["mark 25"] && self.queue.questionCount == 0)
    }

    @Test mutating func whereMemcachedHasLessTheRowMayBeOldForGood() {
        for found in [nil, Self.rivals] {
            self.write()
            self.queue.answered(self.key, Self.written, found: found)
            #expect(self.batch(at: 5_001).isEmpty && self.queue.questionCount == 0)
        }
    }

    /// Of what another gateway has saved some time ago it may have an older state to write still.
    @Test mutating func whoeverSavedBeforeIsARivalToo() {
        var row = self.row(20, after: Self.own)
        row.record.ancestors.append(WriteIdentity(version: 5, writer: 2))
        self.queue.saved(row, isDue: false, at: 2_000)
        #expect(self.queue.hasRival(self.key, 20))
        row.record.identity.version = 30
        row.record.ancestors.insert(Self.written, at: 0)
        self.queue.saved(row, isDue: true, at: 2_001)
        #expect(!self.queue.hasRival(self.key, 30))
    }

    /// Whoever goes on from it sees that the row has been written since its own last save, and marks it.
    @Test mutating func aSaveThatIsWrittenAtOnceLeavesNothingToAsk() {
        self.queue.saved(self.row(15, after: Self.rivals), isDue: false, at: 2_000)
        self.queue.saved(self.row(20, after: Self.rivals), isDue: true, at: 2_100)
        #expect(self.batch(at: 2_100) == ["upsert 20"] && self.queue.questionCount == 0)
        // But what another gateway has saved, and was found in memcached, may be written long after.
        self.queue.saved(self.row(30, after: Self.rivals, by: 2), isDue: true, at: 2_200)
        #expect(self.batch(at: 2_200) == ["upsert 30, may be old"])
    }

    @Test mutating func whoeverSavesOnTopOfAnothersStateHasARival() {
        self.queue.saved(self.row(15, after: Self.own), isDue: false, at: 2_000)
        self.queue.saved(self.row(20, after: WriteIdentity(version: 17, writer: 2)), isDue: false, at: 2_100)
        #expect(self.queue.hasRival(self.key, 20) && !self.queue.hasRival(self.key, 15))
        self.queue.saved(self.row(25, after: Self.written), isDue: false, at: 2_200)
        #expect(self.queue.hasRival(self.key, 25))
        _ = self.batch(at: 2_200)
        #expect(self.batch(at: 5_000, isWritten: false) == ["upsert 25, may be old"])
        #expect(self.queue.questionCount == 0 && self.queue.hasRival(self.key, 25))
        // At the end nobody asks from here: the reaper does.
        let last = self.queue.nextBatch(limit: 10, at: 5_001, isLast: true)
        #expect(Self.names(last) == ["upsert 25, may be old"] && last.first?.row?.due == SessionRow.dueAtOnce)
    }

    @Test mutating func whatIsSavedWhileItIsWrittenHasARivalToo() {
        self.queue.saved(self.row(20, after: Self.rivals), isDue: false, at: 2_000)
        let batch = self.queue.nextBatch(limit: 10, at: 5_000)
        self.queue.saved(self.row(25, after: Self.written), isDue: false, at: 5_001)
        self.queue.batchWritten(batch, at: 5_002)
        #expect(self.queue.hasRival(self.key, 25) && self.queue.questionCount == 0)
        #expect(self.batch(at: 5_003) == ["mark 25"])
        #expect(self.batch(at: 10_002) == ["upsert 25, may be old"])
    }

    @Test mutating func whatIsSavedOrWrittenSinceIsNotAskedFor() {
        self.write()
        self.queue.written(self.key, version: 19)
        #expect(self.queue.questionCount == 1)
        self.queue.written(self.key, version: 22)
        #expect(self.queue.questionCount == 0)
        self.write()
        self.queue.answered(self.key, Self.written, found: Self.written)
        self.queue.saved(self.row(30, after: Self.written, synced: 5_000), isDue: false, at: 5_002)
        // An answer to what was asked before.
        self.queue.answered(self.key, Self.written, found: Self.written)
        self.queue.unanswered(self.key, Self.written, at: 5_002)
        #expect(self.queue.questionCount == 0 && self.batch(at: 5_003) == ["mark 30"])
        #expect(self.queue.toAsk(limit: 10, at: 20_000).isEmpty)
        // Nor is the row told of what waits behind a failure.
        self.queue.batchFailed([.confirm(self.key, Self.written)])
        #expect(self.queue.questionCount == 0)
    }

    @Test mutating func whatIsWrittenAgainIsAskedForAnIntervalAfterThat() {
        self.queue.saved(self.row(20, after: Self.rivals), isDue: false, at: 2_000)
        _ = self.batch(at: 2_000)
        #expect(self.batch(at: 5_000) == ["upsert 20, may be old"])
        self.queue.saved(self.row(25, after: Self.rivals, synced: 3_000), isDue: false, at: 5_001)
        _ = self.batch(at: 5_001)
        #expect(self.batch(at: 8_000) == ["upsert 25, may be old"])
        #expect(self.queue.toAsk(limit: 10, at: 12_999).isEmpty)
        #expect(self.queue.toAsk(limit: 10, at: 13_000).map(\.written.version) == [25])
    }

    @Test mutating func questionsAreBoundedAndNoneKeepsTheOthersWaiting() throws {
        for number in 0..<10 {
            self.queue.saved(self.row(20, after: Self.rivals, Self.key(number)), isDue: false, at: 2_000)
        }
        _ = self.batch(at: 2_000)
        _ = self.batch(at: 2_000)
        #expect(self.batch(at: 5_000).count == 10)
        var asked: Set<SessionKey> = []
        for _ in 0..<3 {
            for (key, written) in self.queue.toAsk(limit: 4, at: 10_000) {
                asked.insert(key)
                self.queue.unanswered(key, written, at: 10_000)
            }
        }
        #expect(asked.count == 10)
        for number in 10..<SyncQueue.maximumQuestions {
            self.queue.question(try #require(Self.key(number)), Self.written, from: 10_000)
        }
        self.queue.saved(self.row(20, after: Self.rivals, Self.key(-1)), isDue: false, at: 5_000)
        #expect(self.batch(at: 5_000) == ["upsert 20, may be old"])
        #expect(self.queue.questionCount == SyncQueue.maximumQuestions)
    }
}
