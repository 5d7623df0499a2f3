package import Database
package import Logging
package import Sessions
import Synchronization

/// The database beside a site's memcacheds: what it has to be told, and what it is asked. One for all event loops. What is
/// decided, `TierMemory` and `TierOperation` decide.
package final class DatabaseTier: Sendable {
    package let database: any SessionDatabase
    package let configuration: TierConfiguration
    package let reaperFigures = ReaperFigures()
    let logger: Logger
    /// How often the figures go into the log.
    let reportInterval: Duration

    private let memory: Memory
    private let hasLeft = Mutex(false)
    private let isDown = Mutex(false)
    /// Why the tables could not be made, as it was logged.
    let migrationError = Mutex<DatabaseError?>(nil)

    /// What the tiers of one site have in common, one after the other and, around a reload, several at once.
    package final class Memory: Sendable {
        fileprivate let value: Mutex<TierMemory>
        fileprivate let tiers = Mutex(0)

        fileprivate init(_ value: TierMemory) {
            self.value = Mutex(value)
        }
    }

    /// - Parameter predecessor: of a configuration that this one follows: what waits there waits here.
    package init(
        database: any SessionDatabase,
        configuration: TierConfiguration,
        after predecessor: DatabaseTier? = nil,
        logger: Logger,
        reportInterval: Duration = .seconds(60)
    ) {
        self.reportInterval = reportInterval
        self.database = database
        self.configuration = configuration
        self.logger = logger
        self.memory =
            predecessor?.memory
            ?? Memory(TierMemory(configuration: configuration, writer: UInt64.random(in: 1 ... .max)))
        self.memory.tiers.withLock { $0 += 1 }
    }

    func withMemory<Result: Sendable>(_ body: (inout TierMemory) -> Result) -> Result {
        self.memory.value.withLock { body(&$0) }
    }

    /// Whether nobody else sees to what waits.
    var isLast: Bool { self.memory.tiers.withLock { $0 == 1 } }

    deinit { _ = self.leave() }

    /// No request uses it any more.
    /// - Returns: whether nobody else sees to what waits.
    func leave() -> Bool {
        let hadLeft = self.hasLeft.withLock { hasLeft in
            defer { hasLeft = true }
            return hasLeft
        }
        return self.memory.tiers.withLock { tiers in
            if !hadLeft { tiers -= 1 }
            return tiers == 0
        }
    }

    func newIdentity(after version: UInt64?) -> WriteIdentity {
        self.withMemory { $0.newIdentity(after: version, at: StoreClock.now) }
    }

    // MARK: What a request asks

    func load(_ key: SessionKey) async -> TierOperation.Answer {
        do throws(DatabaseError) {
            return .row(try await self.noting { () throws(DatabaseError) in try await self.database.load(key) })
        } catch {
            return .failed(mayHaveHappened: false)
        }
    }

    func write(_ change: RowChange, isDurable: Bool) async -> TierOperation.Answer {
        do throws(DatabaseError) {
            return .changed(try await self.apply([change], isDurable: isDurable)[0])
        } catch {
            return .failed(mayHaveHappened: error.mayHaveHappened)
        }
    }

    func isBuried(_ row: SessionRow) async -> Bool {
        if case .changed(.applied) = await self.write(.tombstone(row), isDurable: true) { true } else { false }
    }

    func apply(_ changes: [RowChange], isDurable: Bool = false) async throws(DatabaseError) -> [RowChangeResult] {
        if changes.isEmpty { return [] }
        return try await self.noting { () throws(DatabaseError) in
            try await self.database.apply(changes, isDurable: isDurable)
        }
    }

    /// The first error of several is logged, and the end of them.
    func noting<Result>(_ body: () async throws(DatabaseError) -> Result) async throws(DatabaseError) -> Result {
        do throws(DatabaseError) {
            let result = try await body()
            let wasDown = self.isDown.withLock { isDown in
                defer { isDown = false }
                return isDown
            }
            if wasDown { self.logger.notice("the database answers again") }
            return result
        } catch {
            let wasUp = self.isDown.withLock { isDown in
                defer { isDown = true }
                return !isDown
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

    /// As of `TierMemory.question`.
    func question(_ rows: [(key: SessionKey, written: WriteIdentity)]) {
        if rows.isEmpty { return }
        self.withMemory { memory in
            for (key, written) in rows { memory.question(key, written, at: StoreClock.now) }
        }
    }

    // MARK: Figures

    package struct Depth: Sendable, Equatable {
        package var waiting: Int
        package var bytes: Int
        package var touches: Int
        package var lag: Duration
    }

    package var counts: TierCounts { self.withMemory { $0.counts } }

    package var depth: Depth {
        self.withMemory { memory in
            Depth(
                waiting: memory.queue.count,
                bytes: memory.queue.bytes,
                touches: memory.touches.count,
                lag: .milliseconds(Int64(clamping: memory.queue.lag(at: StoreClock.now)))
            )
        }
    }

    func report() {
        let (counts, depth) = (self.counts, self.depth)
        self.logger.info(
            "database",
            metadata: [
                "reads": "\(counts.reads)", "writes": "\(counts.writes)", "avoided_reads": "\(counts.avoidedReads)",
                "avoided_writes": "\(counts.avoidedWrites)", "failures": "\(counts.failures)",
                "overflows": "\(counts.overflows)", "restored": "\(counts.restored)", "reverted": "\(counts.reverted)",
                "limited": "\(counts.limited)", "waiting": "\(depth.waiting)", "waiting_bytes": "\(depth.bytes)",
                "lag_ms": "\(Int(depth.lag / .milliseconds(1)))",
            ].merging(self.reaperFigures.metadata) { $1 }
        )
    }
}
