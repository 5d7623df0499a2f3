import NIOCore
import Testing

@testable import Sessions

/// Sessions that memcached has and the database has no row of.
struct TierMemoryTests {
    private let keyspace: SessionKeyspace
    private let key: SessionKey
    private var memory: TierMemory

    init() throws {
        self.keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        self.key = self.keyspace.key(for: try #require(SessionID("some-session-or-another")))
        self.memory = TierMemory(
            configuration: TierConfiguration(
                keyspace: self.keyspace,
                idleLifetime: .seconds(100),
                absoluteLifetime: .seconds(1_000)
            ),
            writer: 9
        )
    }

    private func record(_ version: UInt64, deadline: UInt64 = 1_000_000) -> SessionRecord {
        SessionRecord(
            identity: WriteIdentity(version: version, writer: 1),
            created: 1,
            written: 1,
            databaseSynced: 999,
            idleSeconds: 100,
            absoluteDeadline: deadline,
            payload: ByteBuffer(string: "data")
        )
    }

    private mutating func touch(_ result: RowChangeResult) -> [SessionKey] {
        self.memory.seen(self.record(10), self.key, at: 5_000)
        let batch = self.memory.touches.batch(limit: 10)
        return self.memory.touched(batch, [result])
    }

    @Test mutating func oneThatMemcachedHasIsDue() throws {
        #expect(self.touch(.absent) == [self.key])
        #expect(self.memory.touches.count == 0)
        self.memory.foundWithoutRow(self.record(10), self.key, expires: 50_000, at: 6_000)
        let batch = self.memory.nextBatch(limit: 10, at: 6_000, isLast: false)
        guard case .upsert(let row, over: .ancestors)? = batch.first else {
            Issue.record("nothing is due")
            return
        }
        // As memcached has it: no longer, as nobody has asked for it since.
        #expect(row.record.identity.version == 10 && row.expires == 50_000 && row.due == 50_000)
    }

    @Test mutating func oneThatHasARowOrWaitsHereIsNotLookedUp() {
        #expect(self.touch(.applied).isEmpty)
        // Another gateway slid it further, or it is destroyed.
        #expect(self.touch(.refused(current: nil)).isEmpty)
        self.memory.saved(self.record(11), self.key, isDue: true, at: 5_000)
        #expect(self.touch(.absent).isEmpty)
    }

    @Test mutating func oneThatHasEndedGetsNoRow() {
        self.memory.foundWithoutRow(self.record(10), self.key, expires: 6_000, at: 6_000)
        self.memory.foundWithoutRow(self.record(10, deadline: 5_000), self.key, expires: 50_000, at: 6_000)
        #expect(self.memory.nextBatch(limit: 10, at: 6_000, isLast: true).isEmpty)
        // Nor one that was destroyed here meanwhile, and the database could not be told.
        let tombstone = self.memory.tombstone(self.key, at: 5_500)
        self.memory.buriedInMemcached(tombstone, at: 5_500)
        self.memory.foundWithoutRow(self.record(10), self.key, expires: 50_000, at: 6_000)
        let batch = self.memory.nextBatch(limit: 10, at: 6_000, isLast: true)
        guard batch.count == 1, case .tombstone = batch[0] else {
            Issue.record("\(batch)")
            return
        }
    }

    @Test mutating func aRowThatIsOlderThanWhatWasReadIsDueAfterALivingGatewayHasWritten() throws {
        self.memory.seen(self.record(10), self.key, at: 5_000)
        let changes = self.memory.configuration.changes(for: self.memory.touches.batch(limit: 10), at: 6_000)
        guard changes.count == 1, case .touch(self.key, let expires, let due, let newest, let soon) = changes[0] else {
            Issue.record("\(changes)")
            return
        }
        #expect(expires == 105_000 && due == 105_000 && newest == 10 && soon == 6_000 + 2 * 120_000)
        // What is shown without being promised says nothing of versions.
        self.memory.touches.forget(self.key)
        self.memory.slid(self.record(11), self.key, at: 5_000)
        #expect(self.memory.touches.batch(limit: 10).map(\.newest) == [0])
    }

    @Test mutating func memcachedIsToldOfOthersEachTime() throws {
        for number in 0..<10 {
            let id = try #require(SessionID("session-number-\(number)-and-more"))
            #expect(self.memory.adopt(self.keyspace.key(for: id)) == true)
        }
        #expect(Set(self.memory.toPlace(limit: 20, from: 7)).count == 10)
        var told: Set<SessionKey> = []
        for start in [0, 4, 8] {
            let keys = self.memory.toPlace(limit: 4, from: 10 * 3 + start)
            #expect(Set(keys).count == 4)
            told.formUnion(keys)
        }
        #expect(told == self.memory.unplaced)
    }

    @Test mutating func whileThereAreMoreThanCanBeKnownEverySessionIsCompared() {
        self.memory.memcachedWasAway()
        let question = self.memory.catchingUp()
        self.memory.caughtUp(question, isAll: false)
        #expect(self.memory.isBehind)
        self.memory.caughtUp(question)
        #expect(!self.memory.isBehind)
    }

    @Test mutating func oneThatDoesNotFitIsCounted() {
        var configuration = self.memory.configuration
        configuration.queueSize = 10
        self.memory.reconfigure(configuration)
        self.memory.foundWithoutRow(self.record(10), self.key, expires: 50_000, at: 6_000)
        #expect(self.memory.counts.overflows == 1)
        #expect(self.memory.queue.count == 0)
    }
}
