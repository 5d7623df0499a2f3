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
        package let counters = TierCounters()
        let identities = WriteIdentitySource()
        fileprivate let touches = Mutex(PendingTouches())

        let clock: @Sendable () -> SessionRecord.Timestamp

        package init(
            database: any SessionDatabase,
            configuration: TierConfiguration,
            clock: @escaping @Sendable () -> SessionRecord.Timestamp = { StoreClock.now }
        ) {
            self.database = database
            self.configuration = configuration
            self.clock = clock
        }

        /// How many sessions' expiries wait.
        package var pendingTouches: Int { self.touches.withLock { $0.count } }

        /// Writes the expiries that wait.
        package func writeTouches() async throws(DatabaseError) {
            while true {
                let batch = self.touches.withLock { $0.batch(limit: 1_000) }
                if batch.isEmpty { return }
                _ = try await self.database.apply(batch.map { .touch($0.key, expires: $0.expires, due: $0.expires) })
                self.counters.add(\.writes)
                self.touches.withLock { $0.written(batch) }
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
        self.shared.counters.add(\.reads)
        let row: SessionRow?
        do throws(DatabaseError) {
            row = try await self.database.load(key)
        } catch {
            self.failed(error, "a session could not be read")
            return .unavailable
        }
        guard let row, !row.record.isTombstone else { return .none }
        let now = self.shared.clock()
        let expires = self.configuration.expiry(of: row.record, seen: now)
        let isLive = self.shared.touches.withLock { touches in
            guard max(row.expires, touches.expiry(of: key) ?? 0) > now, row.record.absoluteDeadline > now else {
                return false
            }
            touches.seen(key, expires: expires)
            return true
        }
        guard isLive else { return .none }
        self.shared.counters.add(\.avoidedWrites)
        return .live(Self.session(row.record))
    }

    static func session(_ record: SessionRecord) -> StoredSession {
        StoredSession(loaded: LoadedRecord(record: record, tokens: [], needsRepair: false), isDegraded: false)
    }

    package func save(
        _ session: StoredSession,
        key: SessionKey,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp?,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        let base = session.record.identity
        let record = session.record.successor(
            self.shared.identities.next(after: base),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
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
        let record = SessionRecord.fresh(
            self.shared.identities.next(after: nil),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime,
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
                self.shared.touches.withLock { $0.forget(key) }
                return .saved(Self.session(record))
            case .refused(let current):
                return .discarded(winner: current?.version)
            }
        } catch {
            self.failed(error, "a session could not be written")
            return error.mayHaveHappened ? .unknown : .unavailable
        }
    }

    package func destroy(_ key: SessionKey) async -> SessionDestroyOutcome {
        self.shared.counters.add(\.writes)
        let row = SessionRow.tombstone(
            key,
            identity: self.shared.identities.next(after: nil),
            absoluteLifetime: self.configuration.absoluteLifetime,
            until: self.configuration.tombstonesUntil
        )
        do throws(DatabaseError) {
            _ = try await self.database.apply(.tombstone(row), isDurable: true)
            self.shared.touches.withLock { $0.forget(key) }
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

    /// One gateway has the file: its requests wait for each other in it.
    package func takeTurn(_ key: SessionKey, timeout: Duration) async -> TurnLeaseOutcome { .unprotected }

    package func maintain(_ session: StoredSession, key: SessionKey) {}
    package func start() {}
    package func close() -> EventLoopFuture<Void> { self.eventLoop.makeSucceededVoidFuture() }
    package var isReady: Bool { true }
}

extension SessionRow {
    /// Of a session that is destroyed, for as long as it could have lived, and could be taken over from another store.
    static func tombstone(
        _ key: SessionKey,
        identity: WriteIdentity,
        absoluteLifetime: Duration,
        until: SessionRecord.Timestamp
    ) -> SessionRow {
        let now = StoreClock.now
        let deadline = max(now &+ absoluteLifetime.wholeMilliseconds, until)
        var record = SessionRecord.tombstoneOfNothing(identity: identity, now: now)
        record.absoluteDeadline = deadline
        var row = SessionRow(key: key, record: record, expires: deadline, due: deadline, synced: now, saves: 0)
        row.keptUntil = until
        return row
    }
}
