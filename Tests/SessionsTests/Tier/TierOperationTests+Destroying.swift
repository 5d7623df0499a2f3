import Testing

@testable import Sessions

extension TierOperationTests {
    @Test mutating func aSignOutThatNobodyWouldTellTheDatabaseIsNotAcknowledged() throws {
        for number in 0..<SyncQueue.maximumTombstones {
            let id = try #require(SessionID("session-number-\(number)-and-more"))
            let row = self.memory.tombstone(self.memory.configuration.keyspace.key(for: id), at: 1_000_000)
            self.memory.buriedInMemcached(row, at: 1_000_000)
        }
        #expect(self.play(.destroy, [.buried(inMemcached: true, inDatabase: false)]) == ["bury, due 0", "unknown"])
        #expect(self.play(.destroy, [.buried(inMemcached: true, inDatabase: true)]) == ["bury, due 0", "destroyed"])
    }

    @Test mutating func aSignOutThatMemcachedDoesNotHearIsLeftForEveryGateway() {
        #expect(self.play(.destroy, [.buried(inMemcached: false, inDatabase: true)]) == ["bury, due 0", "destroyed"])
        #expect(self.memory.unplaced == [self.key])
        #expect(self.play(.destroy, [.buried(inMemcached: false, inDatabase: false)]) == ["bury, due 0", "unknown"])
        #expect(self.play(.destroy, [.buried(inMemcached: true, inDatabase: true)]) == ["bury, due 0", "destroyed"])
        // The row has nothing to tell any more.
        #expect(self.memory.unplaced.isEmpty)
        let batch = self.memory.nextBatch(limit: 10, at: 1_000_000, isLast: false)
        guard case .postpone(self.key, _, let due)? = batch.first, batch.count == 1 else {
            Issue.record("\(batch.count) changes")
            return
        }
        #expect(due > 1_000_000)
        #expect(self.memory.queue.count == 0)
        #expect(self.play(.destroy, [.buried(inMemcached: true, inDatabase: false)]) == ["bury, due 0", "destroyed"])
        #expect(self.memory.queue.waiting(self.key)?.record.isTombstone == true)
    }

    @Test mutating func aRowOfAnotherLineIsForTheReaper() {
        let row = self.row(20, after: [10])
        let changes = [RowChange.upsert(row, over: .ancestors)]
        let rival = WriteIdentity(version: 15, writer: 2)
        let more = self.memory.batchWritten(changes, [.refused(current: rival)], at: 7_000).next
        guard case .makeDue(self.key, let identity)? = more.first else {
            Issue.record("\(more.count) changes")
            return
        }
        #expect(identity == rival)
        #expect(self.memory.batchWritten(changes, [.applied], at: 7_000).next.isEmpty)
    }

    /// Another gateway made the session, and its row is still to come: from that state.
    @Test mutating func whatWaitsIsDueAtOnceWhereNoRowCouldBeTold() {
        self.memory.saved(self.record(20, after: [10]), self.key, isDue: false, at: 1_000_000)
        let marks = self.memory.nextBatch(limit: 10, at: 1_000_000, isLast: false)
        guard case .mark(self.key, 20)? = marks.first, marks.count == 1 else {
            Issue.record("\(marks.count) changes")
            return
        }
        let told = self.memory.batchWritten(marks, [.absent], at: 1_000_001)
        #expect(told.next.isEmpty && told.rowless.isEmpty)
        let batch = self.memory.nextBatch(limit: 10, at: 1_000_001, isLast: false)
        #expect(batch.compactMap(\.row?.record.identity.version) == [20])
        // While it is being written it is not due again.
        #expect(self.memory.batchWritten(marks, [.absent], at: 1_000_002).rowless.isEmpty)
        #expect(self.memory.nextBatch(limit: 10, at: 1_000_002, isLast: false).isEmpty)
        _ = self.memory.batchWritten(batch, [.applied], at: 1_000_003)
        // What is known to be newer than what waits here is told when there is a row.
        self.memory.saved(self.record(30, after: [20]), self.key, isDue: true, at: 1_000_003)
        #expect(self.memory.batchWritten([.mark(self.key, newest: 40)], [.absent], at: 1_000_003).rowless.isEmpty)
        let last = self.memory.nextBatch(limit: 10, at: 1_000_003, isLast: false)
        #expect(last.compactMap(\.row?.record.identity.version) == [30] && last.count == 1)
        _ = self.memory.batchWritten(last, [.applied], at: 1_000_003)
        guard case .mark(self.key, 40)? = self.memory.nextBatch(limit: 9, at: 1_000_003, isLast: false).first else {
            Issue.record("the row does not say that it is old")
            return
        }
        // Where nothing waits, memcached is asked for it.
        #expect(self.memory.batchWritten(marks, [.absent], at: 1_000_004).rowless == [self.key])
        #expect(self.memory.batchWritten(marks, [.refused(current: nil)], at: 1_000_004).rowless.isEmpty)
    }

    /// It would be looked for again at once, and again.
    @Test mutating func whatHasNoRowAndNoRoomIsCountedAndLeft() {
        var configuration = self.memory.configuration
        configuration.queueSize = 10
        self.memory.reconfigure(configuration)
        self.memory.foundWithoutRow(self.record(20), self.key, expires: 2_000_000, at: 1_000_000)
        #expect(self.memory.counts.overflows == 1 && self.memory.queue.isEmpty)
        configuration.queueSize = 10_000
        self.memory.reconfigure(configuration)
        self.memory.foundWithoutRow(self.record(20), self.key, expires: 2_000_000, at: 1_000_000)
        #expect(self.memory.counts.overflows == 1 && self.memory.queue.count == 1)
    }
}
