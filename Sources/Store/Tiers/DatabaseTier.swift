package import Database
package import Logging
import NIOCore
import Sessions
import Synchronization

/// The database beside a site's memcacheds: what it has to be told, and what it is asked. One for all event loops.
package final class DatabaseTier: Sendable {
    package let database: any SessionDatabase
    package let configuration: TierConfiguration
    package let counters = TierCounters()
    let identities = WriteIdentitySource()
    private let logger: Logger

    private struct State {
        var queue: SyncQueue
        var touches = PendingTouches()
        var limit: UnknownIDLimit
        /// Sessions that the database knows to be destroyed and memcached not yet: nobody reads them here, and they are
        /// destroyed there as soon as it can be asked. At most `maximumUnplaced`.
        var unplaced: Set<SessionKey> = []
        var isDown = false
    }

    private let state: Mutex<State>

    static let maximumUnplaced = 65_536
    private static let batchSize = 256
    /// How often it is looked whether something is due.
    private static let beat: Duration = .milliseconds(250)
    private static let longestPause: Duration = .seconds(5)
    private static let lastPatience: Duration = .seconds(6)

    package init(database: any SessionDatabase, configuration: TierConfiguration, logger: Logger) {
        self.database = database
        self.configuration = configuration
        self.logger = logger
        self.state = Mutex(
            State(
                queue: SyncQueue(
                    interval: configuration.syncInterval.wholeMilliseconds,
                    limit: configuration.queueSize
                ),
                limit: UnknownIDLimit(perSecond: configuration.unknownIDs)
            )
        )
    }

    // MARK: What a request asks

    func isDue(lastSynced: SessionRecord.Timestamp) -> Bool {
        self.state.withLock { $0.queue.isDue(lastSynced: lastSynced, at: StoreClock.now) }
    }

    /// The newest acknowledged state of a session that this process has and the database perhaps not.
    func waiting(_ key: SessionKey) -> SessionRow? { self.state.withLock { $0.queue.waiting(key) } }

    func isDestroyed(_ key: SessionKey) -> Bool {
        self.state.withLock { !$0.unplaced.isEmpty && $0.unplaced.contains(key) }
    }

    func admits(_ client: ByteBufferView?) -> Bool {
        self.state.withLock { $0.limit.admits(client, at: StoreClock.now) }
    }

    /// The client asked for an id that nobody knows.
    func charge(_ client: ByteBufferView?) {
        self.state.withLock { $0.limit.charge(client, at: StoreClock.now) }
    }

    func row(_ record: SessionRecord, _ key: SessionKey, saves: UInt64 = 1) -> SessionRow {
        let now = StoreClock.now
        let expires = self.configuration.expiry(of: record, seen: now)
        let due = min(expires, now &+ self.configuration.reapAfter.wholeMilliseconds)
        return SessionRow(key: key, record: record, expires: expires, due: due, synced: now, saves: saves)
    }

    /// - Throws: the error is counted, and the first of several is logged.
    func load(_ key: SessionKey) async throws(DatabaseError) -> SessionRow? {
        self.counters.add(\.reads)
        return try await self.noting { () throws(DatabaseError) in try await self.database.load(key) }
    }

    /// Before the response.
    func write(_ change: RowChange, isDurable: Bool) async throws(DatabaseError) -> RowChangeResult {
        self.counters.add(\.writes)
        let result = try await self.noting { () throws(DatabaseError) in
            try await self.database.apply(change, isDurable: isDurable)
        }
        switch change {
        case .insert(let row), .compareAndSave(let row, _), .upsert(let row, _), .tombstone(let row):
            self.state.withLock { state in
                state.queue.written(row.key, version: row.record.identity.version)
                state.touches.forget(row.key)
            }
        case .touch, .mark, .acceptReversion, .postpone, .delete:
            break
        }
        return result
    }

    private func noting<Result>(
        _ body: () async throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        do throws(DatabaseError) {
            let result = try await body()
            let wasDown = self.state.withLock { state in
                defer { state.isDown = false }
                return state.isDown
            }
            if wasDown { self.logger.notice("the database answers again") }
            return result
        } catch {
            self.counters.add(\.failures)
            let wasUp = self.state.withLock { state in
                defer { state.isDown = true }
                return !state.isDown
            }
            if wasUp {
                self.logger.warning(
                    "the database does not answer; sessions are in memcached alone",
                    metadata: ["error": "\(error)"]
                )
            }
            throw error
        }
    }

    // MARK: What is told behind the response

    /// A state was acknowledged by memcached.
    func saved(_ record: SessionRecord, _ key: SessionKey, isDue: Bool) {
        let row = self.row(record, key)
        let now = StoreClock.now
        let isTaken = self.state.withLock { state in
            state.touches.forget(key)
            return state.queue.saved(row, isDue: isDue, at: now)
        }
        if !isTaken {
            self.counters.add(\.overflows)
        } else if !isDue {
            self.counters.add(\.avoidedWrites)
        }
    }

    /// A session was read in memcached, which slid its expiry there.
    func seen(_ record: SessionRecord, _ key: SessionKey) {
        self.counters.add(\.avoidedReads)
        let expires = self.configuration.expiry(of: record, seen: StoreClock.now)
        self.state.withLock { $0.touches.seen(key, expires: expires) }
    }

    /// The database could not be told that a session is destroyed.
    func destroyed(_ row: SessionRow) {
        let now = StoreClock.now
        self.state.withLock { state in
            state.touches.forget(row.key)
            state.queue.saved(row, isDue: true, at: now)
        }
    }

    /// Memcached could not be told that a session is destroyed.
    func mustBeDestroyed(_ key: SessionKey) {
        let isTaken = self.state.withLock { state in
            guard state.unplaced.count < Self.maximumUnplaced else { return false }
            state.unplaced.insert(key)
            return true
        }
        if !isTaken { self.counters.add(\.overflows) }
    }

    // MARK: The service

    /// Writes what is due, until it is cancelled; then everything that waits, once.
    /// - Parameter replicas: on the event loop that this runs on.
    package func run(replicas: SessionStore) async {
        var pause = Self.beat
        var nextTouch = ContinuousClock.now + self.touchInterval
        var nextReport = ContinuousClock.now + .seconds(60)
        while !Task.isCancelled {
            try? await Task.sleep(for: pause)
            let isWritten = await self.writeDue(isLast: false)
            // While it is down, less and less often.
            pause = isWritten ? Self.beat : min(pause * 2, Self.longestPause)
            if isWritten, ContinuousClock.now >= nextTouch || self.state.withLock({ $0.touches.isFull }) {
                nextTouch = .now + self.touchInterval
                await self.writeTouches()
            }
            await self.destroyUnplaced(replicas)
            if ContinuousClock.now >= nextReport {
                nextReport = .now + .seconds(60)
                self.report()
            }
        }
        await self.flush()
        self.report()
    }

    /// An eighth of the idle lifetime; not more often than sessions are synced.
    private var touchInterval: Duration { max(self.configuration.syncInterval, self.configuration.idleLifetime / 8) }

    /// Everything that waits.
    package func flush() async {
        _ = await self.writeDue(isLast: true)
        await self.writeTouches()
    }

    /// The same at the end of the process: a database that is away gets some seconds to come back.
    package func flushAtEnd() async {
        let latest = ContinuousClock.now + Self.lastPatience
        await self.flush()
        while self.depth.waiting > 0, ContinuousClock.now < latest {
            // Also where the task is cancelled.
            await Task { try? await Task.sleep(for: Self.beat) }.value
            await self.flush()
        }
        self.report()
    }

    /// - Returns: whether the database took it.
    private func writeDue(isLast: Bool) async -> Bool {
        while true {
            let now = StoreClock.now
            let batch = self.state.withLock { $0.queue.nextBatch(limit: Self.batchSize, at: now, isLast: isLast) }
            if batch.isEmpty { return true }
            do throws(DatabaseError) {
                _ = try await self.noting { () throws(DatabaseError) in try await self.database.apply(batch) }
                self.counters.add(\.writes, batch.count)
                self.state.withLock { $0.queue.batchWritten(batch, at: StoreClock.now) }
            } catch {
                self.state.withLock { $0.queue.batchFailed(batch) }
                // It was not there at the start.
                if error.code == .schema, self.configuration.migrates { await self.migrate() }
                return false
            }
        }
    }

    private func migrate() async {
        do throws(DatabaseError) {
            try await self.database.migrate()
        } catch {
            self.logger.error("the database's tables cannot be made", metadata: ["error": "\(error)"])
        }
    }

    private func writeTouches() async {
        let reapAfter = self.configuration.reapAfter.wholeMilliseconds
        while true {
            let batch = self.state.withLock { $0.touches.batch(limit: 1_000) }
            if batch.isEmpty { return }
            let now = StoreClock.now
            do throws(DatabaseError) {
                _ = try await self.noting { () throws(DatabaseError) in
                    try await self.database.apply(
                        batch.map { .touch($0.key, expires: $0.expires, due: min($0.expires, now &+ reapAfter)) }
                    )
                }
                self.counters.add(\.writes, batch.count)
                self.state.withLock { $0.touches.written(batch) }
            } catch {
                return
            }
        }
    }

    private func destroyUnplaced(_ replicas: SessionStore) async {
        guard replicas.isReady else { return }
        for key in self.state.withLock({ Array($0.unplaced.prefix(64)) }) {
            guard await replicas.destroy(key) == .destroyed else { return }
            self.state.withLock { _ = $0.unplaced.remove(key) }
        }
    }

    // MARK: Figures

    package struct Depth: Sendable, Equatable {
        package var waiting: Int
        package var bytes: Int
        package var touches: Int
        package var lag: Duration
    }

    package var depth: Depth {
        self.state.withLock { state in
            Depth(
                waiting: state.queue.count,
                bytes: state.queue.bytes,
                touches: state.touches.count,
                lag: .milliseconds(Int64(clamping: state.queue.lag(at: StoreClock.now)))
            )
        }
    }

    private func report() {
        let (counts, depth) = (self.counters.snapshot, self.depth)
        self.logger.info(
            "database",
            metadata: [
                "reads": "\(counts.reads)", "writes": "\(counts.writes)", "avoided_reads": "\(counts.avoidedReads)",
                "avoided_writes": "\(counts.avoidedWrites)", "failures": "\(counts.failures)",
                "overflows": "\(counts.overflows)", "restored": "\(counts.restored)", "reverted": "\(counts.reverted)",
                "limited": "\(counts.limited)", "waiting": "\(depth.waiting)", "waiting_bytes": "\(depth.bytes)",
                "lag_ms": "\(depth.lag / .milliseconds(1))",
            ]
        )
    }
}
