package import Database
package import Logging
package import NIOCore
package import Sessions
import Synchronization

/// A site's sessions in a database alone: no memcached. One for all event loops.
///
/// A save compares the version and is one transaction; a read writes nothing. Expiries that slid are kept here and written
/// together, at least every `touchInterval`: a killed gateway may have sessions end that much too early.
package final class DatabaseStore: SessionStorage {
    let database: any SessionDatabase
    let configuration: TierConfiguration
    package let eventLoop: any EventLoop
    let shared: Shared
    private let logger: Logger

    /// What the event loops share.
    package final class Shared: Sendable {
        package let database: any SessionDatabase
        package let configuration: TierConfiguration
        /// What happened between a site and its database.
        package let counters = Counters(TierCounts())
        package let reaperFigures = ReaperFigures()
        private let identities = Mutex(WriteIdentities(writer: UInt64.random(in: 1 ... .max)))
        /// Shared with those of the configuration before, whose requests may still slide them.
        private let pending: Pending
        private let limit: Mutex<UnknownIDLimit>

        let clock: @Sendable () -> SessionRecord.Timestamp

        private final class Pending: Sendable {
            let touches = Mutex(PendingTouches())
        }

        /// - Parameter predecessor: of the configuration before, where it has these sessions in the same database.
        package init(
            database: any SessionDatabase,
            configuration: TierConfiguration,
            after predecessor: Shared? = nil,
            clock: @escaping @Sendable () -> SessionRecord.Timestamp = { StoreClock.now }
        ) {
            self.pending = predecessor?.pending ?? Pending()
            self.database = database
            self.configuration = configuration
            self.clock = clock
            self.limit = Mutex(UnknownIDLimit(perSecond: configuration.unknownIDs))
        }

        fileprivate func withTouches<Result: Sendable>(_ body: (inout PendingTouches) -> Result) -> Result {
            self.pending.touches.withLock { body(&$0) }
        }

        /// - Returns: nil where the client may not ask for an id.
        fileprivate func admit(_ client: ByteBufferView?) -> UnknownIDLimit.Look? {
            self.limit.withLock { $0.admit(client, at: StoreClock.now) }
        }

        fileprivate func settle(_ look: UnknownIDLimit.Look, isKnown: Bool) {
            self.limit.withLock { $0.settle(look, isKnown: isKnown, at: StoreClock.now) }
        }

        func newIdentity(after base: WriteIdentity?) -> WriteIdentity {
            self.identities.withLock { $0.next(after: base?.version, at: StoreClock.microseconds) }
        }

        /// The figures, into the log.
        package func report(_ logger: Logger) {
            let counts = self.counters.snapshot
            logger.info(
                "database",
                metadata: [
                    "reads": "\(counts.reads)", "writes": "\(counts.writes)", "avoided_reads": "\(counts.avoidedReads)",
                    "avoided_writes": "\(counts.avoidedWrites)", "failures": "\(counts.failures)",
                    "limited": "\(counts.limited)",
                    "waiting": "\(self.pendingTouches)",
                    "lag_ms": "\(self.withTouches { $0.lag(at: self.clock()) })",
                ].merging(self.reaperFigures.metadata) { $1 }
            )
        }

        /// Writes the expiries, and the figures into the log, until it is cancelled.
        package func run(logger: Logger, reportInterval: Duration = .seconds(60)) async {
            var nextReport = ContinuousClock.now + reportInterval
            while !Task.isCancelled {
                try? await Task.sleep(for: min(self.configuration.touchInterval, reportInterval))
                await self.writeTouches(logger: logger)
                guard ContinuousClock.now >= nextReport else { continue }
                nextReport = .now + reportInterval
                self.report(logger)
            }
        }

        package func writeTouches(logger: Logger) async {
            do throws(DatabaseError) {
                try await self.writeTouches()
            } catch {
                logger.warning("expiries could not be written; they wait", metadata: ["error": "\(error)"])
            }
        }

        /// How many sessions' expiries wait.
        package var pendingTouches: Int { self.withTouches { $0.count } }

        /// Writes the expiries that wait; what slides meanwhile is for the next time.
        package func writeTouches() async throws(DatabaseError) {
            for batch in self.withTouches({ $0.pass(by: 256) }) {
                _ = try await self.database.apply(batch.map { .touch($0.key, expires: $0.expires, due: $0.expires) })
                self.counters.add(\.writes)
                self.withTouches { $0.written(batch) }
            }
        }
    }

    package init(_ shared: Shared, eventLoop: any EventLoop, logger: Logger) {
        self.shared = shared
        self.database = shared.database
        self.configuration = shared.configuration
        self.eventLoop = eventLoop
        self.logger = logger
    }

    package func key(for id: SessionID) -> SessionKey { self.configuration.keyspace.key(for: id) }

    package func load(_ key: SessionKey, client: ByteBufferView?) async -> SessionLoadOutcome {
        guard let look = self.shared.admit(client) else {
            self.shared.counters.add(\.limited)
            return .limited
        }
        self.shared.counters.add(\.reads)
        let row: SessionRow?
        do throws(DatabaseError) {
            row = try await self.database.load(key)
            self.shared.settle(look, isKnown: row != nil)
        } catch {
            self.shared.settle(look, isKnown: true)
            self.failed(error, "a session could not be read")
            return .unavailable
        }
        guard let row, !row.record.isTombstone else { return .none }
        let now = self.shared.clock()
        let expires = self.configuration.expiry(of: row.record, seen: now)
        let isLive = self.shared.withTouches { touches in
            guard max(row.expires, touches.expiry(of: key) ?? 0) > now, row.record.absoluteDeadline > now else {
                return false
            }
            touches.seen(key, expires: expires, at: now)
            return true
        }
        guard isLive else { return .none }
        self.shared.counters.add(\.avoidedWrites)
        return .live(StoredSession(row: row.record, isDegraded: false))
    }

    package func save(
        _ session: StoredSession,
        key: SessionKey,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp?,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        let base = session.record.identity
        let record = self.configuration.proposal(
            from: session,
            self.shared.newIdentity(after: base),
            payload: payload,
            cookieIssued: cookieIssued
        )
        return await self.write(record, key, isDurable: isDurable) { .compareAndSave($0, base: base) }
    }

    package func create(
        _ key: SessionKey,
        payload: ByteBuffer,
        hasCookieLifetime: Bool,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        let record = self.configuration.proposal(
            self.shared.newIdentity(after: nil),
            payload: payload,
            hasCookieLifetime: hasCookieLifetime
        )
        return await self.write(record, key, isDurable: isDurable) { .insert($0) }
    }

    func write(
        _ record: SessionRecord,
        _ key: SessionKey,
        isDurable: Bool,
        _ change: (SessionRow) -> RowChange
    ) async -> SessionWriteOutcome {
        self.shared.counters.add(\.writes)
        let now = self.shared.clock()
        let expires = self.configuration.expiry(of: record, seen: now)
        let row = SessionRow(key: key, record: record, expires: expires, due: expires, synced: now)
        do throws(DatabaseError) {
            switch try await self.database.apply(change(row), isDurable: isDurable) {
            case .applied:
                self.shared.withTouches { $0.forget(key) }
                return .saved(StoredSession(row: record, isDegraded: false))
            case .refused(let current?):
                // A change whose answer was lost is made again: then the row may have been read, and saved, in between.
                guard let wasSaved = await self.wasSaved(record, key) else { return .unknown }
                return wasSaved
                    ? .saved(StoredSession(row: record, isDegraded: false)) : .discarded(winner: current.version)
            case .refused(nil), .absent:
                return .discarded(winner: nil)
            }
        } catch {
            self.failed(error, "a session could not be written")
            return error.mayHaveHappened ? .unknown : .unavailable
        }
    }

    /// Whether the row is this record, or was made from it; nil where that cannot be told.
    private func wasSaved(_ record: SessionRecord, _ key: SessionKey) async -> Bool? {
        do throws(DatabaseError) {
            guard let row = try await self.database.load(key) else { return false }
            return row.record.identity == record.identity || row.record.ancestors.contains(record.identity)
        } catch {
            self.failed(error, "a session could not be read after a save that another one has met")
            return nil
        }
    }

    package func destroy(_ key: SessionKey) async -> SessionDestroyOutcome {
        self.shared.counters.add(\.writes)
        let row = SessionRow.tombstone(
            key,
            identity: self.shared.newIdentity(after: nil),
            absoluteLifetime: self.configuration.absoluteLifetime,
            until: self.configuration.tombstonesUntil,
            at: StoreClock.now
        )
        do throws(DatabaseError) {
            _ = try await self.database.apply(.tombstone(row), isDurable: true)
            self.shared.withTouches { $0.forget(key) }
            return .destroyed
        } catch {
            self.failed(error, "a session could not be destroyed")
            return .unknown
        }
    }

    func failed(_ error: DatabaseError, _ message: Logger.Message) {
        self.shared.counters.add(\.failures)
        self.logger.error(message, metadata: ["error": "\(error)"])
    }

    /// The requests of one gateway wait for each other in it; those of several that share a server's database do not, which
    /// the configuration's check says.
    package func takeTurn(_ key: SessionKey, timeout: Duration) async -> TurnLeaseOutcome { .unprotected }

    package func maintain(_ session: StoredSession, key: SessionKey) {}
    package func start() {}
    package func close() -> EventLoopFuture<Void> { self.eventLoop.makeSucceededVoidFuture() }
    package var isReady: Bool { true }
}
