import Database
import GatewayTesting
import Logging
import NIOCore
import Sessions
import Synchronization
import Testing

@testable import Store

/// Sessions in real memcacheds with a SQLite file behind them.
@Suite(.timeLimit(.minutes(2)))
struct HybridStoreTests {
    /// A database that can be cut off.
    final class Switched: SessionDatabase {
        let base: any SessionDatabase
        let isDown = Mutex(false)
        /// How long batches of expiries take, and how many have been written.
        let touchDelay = Mutex<Duration>(.zero)
        let touchBatches = Mutex(0)
        let canCount = Mutex(true)

        init(_ base: any SessionDatabase) { self.base = base }

        private func check() throws(DatabaseError) {
            if self.isDown.withLock({ $0 }) { throw DatabaseError(.unavailable, "switched off") }
        }

        func load(_ key: SessionKey) async throws(DatabaseError) -> SessionRow? {
            try self.check()
            return try await self.base.load(key)
        }

        func apply(_ changes: [RowChange], isDurable: Bool) async throws(DatabaseError) -> [RowChangeResult] {
            try self.check()
            if case .touch? = changes.first {
                try? await Task.sleep(for: self.touchDelay.withLock { $0 })
                self.touchBatches.withLock { $0 += 1 }
            }
            return try await self.base.apply(changes, isDurable: isDurable)
        }

        func due(
            _ keyspace: SessionKeyspace,
            at now: SessionRecord.Timestamp,
            after cursor: DueCursor?,
            limit: Int
        ) async throws(DatabaseError) -> [DueRow] {
            try self.check()
            return try await self.base.due(keyspace, at: now, after: cursor, limit: limit)
        }

        func dueCount(_ keyspace: SessionKeyspace, at now: SessionRecord.Timestamp) async throws(DatabaseError) -> Int {
            guard self.canCount.withLock({ $0 }) else { throw DatabaseError(.timedOut, "too many to count") }
            return try await self.base.dueCount(keyspace, at: now)
        }

        func lead(_ keyspace: SessionKeyspace) async throws(DatabaseError) -> (any LeaderLease)? {
            try await self.base.lead(keyspace)
        }

        func schemaVersion() async throws(DatabaseError) -> Int { try await self.base.schemaVersion() }
        func migrate() async throws(DatabaseError) -> Int { try await self.base.migrate() }
        func close() async { await self.base.close() }
    }

    /// One gateway's view: its own queue over the common memcacheds and the common database.
    struct Gateway: Sendable {
        let fixture: StoreFixture
        let store: HybridStore
        let tier: DatabaseTier

        func run<Result: Sendable>(_ body: @Sendable @escaping (HybridStore) async -> Result) async -> Result {
            let store = self.store
            return await Task(executorPreference: self.fixture.executor) { await body(store) }.value
        }

        func create(_ key: SessionKey, _ text: String, isDurable: Bool = false) async -> SessionWriteOutcome {
            await self.run {
                await $0.create(
                    key,
                    payload: ByteBuffer(string: text),
                    hasCookieLifetime: false,
                    isDurable: isDurable
                )
            }
        }

        func load(_ key: SessionKey) async -> SessionLoadOutcome { await self.run { await $0.load(key, client: nil) } }

        func session(_ key: SessionKey) async throws -> StoredSession {
            guard case .live(let session) = await self.load(key) else { throw TestingError("no session") }
            return session
        }

        func text(_ key: SessionKey) async throws -> String? {
            switch await self.load(key) {
            case .live(let session): return String(buffer: session.payload)
            case .none: return nil
            case .unavailable, .limited: throw TestingError("the store is unavailable")
            }
        }

        func save(
            _ session: StoredSession,
            _ key: SessionKey,
            _ text: String,
            isDurable: Bool = false
        ) async -> SessionWriteOutcome {
            await self.run {
                await $0.save(
                    session,
                    key: key,
                    payload: ByteBuffer(string: text),
                    cookieIssued: nil,
                    isDurable: isDurable
                )
            }
        }

        func destroy(_ key: SessionKey) async -> SessionDestroyOutcome { await self.run { await $0.destroy(key) } }
    }

    struct Stack: Sendable {
        let fixture: StoreFixture
        let database: Switched
        let directory: TemporaryDirectory
        let configuration: TierConfiguration

        /// With an empty queue, as one that was started just now, or another one.
        /// - Parameter predecessor: whose configuration was read anew.
        func gateway(
            after predecessor: Gateway? = nil,
            logger: Logger = Logger(label: "tier") { _ in SwiftLogNoOpLogHandler() },
            reportInterval: Duration = .seconds(60),
            _ adjust: (inout TierConfiguration) -> Void = { _ in }
        ) -> Gateway {
            var configuration = self.configuration
            adjust(&configuration)
            let tier = DatabaseTier(
                database: self.database,
                configuration: configuration,
                after: predecessor?.tier,
                logger: logger,
                reportInterval: reportInterval
            )
            return Gateway(
                fixture: self.fixture,
                store: HybridStore(replicas: self.fixture.store, tier: tier),
                tier: tier
            )
        }

        func setDown(_ isDown: Bool) { self.database.isDown.withLock { $0 = isDown } }

        func key() async -> SessionKey { await self.fixture.freshKey().key }

        /// All at once, and until they count on their absences again.
        func restartMemcacheds() async throws {
            for server in self.fixture.servers { server.kill() }
            for server in self.fixture.servers { try await server.start() }
            try await self.fixture.waitUntilComplete()
        }

        /// Runs the tier's service until the condition holds.
        func serving(_ gateway: Gateway, until condition: @Sendable () async -> Bool) async throws {
            let service = Task(executorPreference: self.fixture.executor) {
                await gateway.tier.run(replicas: self.fixture.store)
            }
            do {
                try await Eventually.holds(within: .seconds(20), "the tier's service") { await condition() }
            } catch {
                service.cancel()
                await service.value
                throw error
            }
            service.cancel()
            await service.value
        }
    }

    static func with(
        memcachedArguments: [String]? = nil,
        _ body: @escaping @Sendable (Stack) async throws -> Void
    ) async throws {
        try await StoreFixture.with(memcachedArguments: memcachedArguments) { fixture in
            let directory = try TemporaryDirectory()
            let path = directory.path("sessions.sqlite")
            let database = Switched(try DatabaseConfiguration(location: .sqlite(path: path)).open())
            _ = try await database.migrate()
            let configuration = TierConfiguration(
                keyspace: try #require(SessionKeyspace(prefix: "sg:", site: "test")),
                idleLifetime: .seconds(1_440),
                absoluteLifetime: .seconds(86_400)
            )
            try await body(
                Stack(fixture: fixture, database: database, directory: directory, configuration: configuration)
            )
            await database.close()
        }
    }

    @Test func savesReachTheDatabaseOncePerInterval() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            #expect(await gateway.create(key, "0").isSaved)
            for number in 1...20 {
                let session = try await gateway.session(key)
                #expect(await gateway.save(session, key, "\(number)").isSaved)
            }
            #expect(gateway.tier.counts.reads == 0)
            #expect(gateway.tier.depth.waiting == 1)
            await gateway.tier.flush()
            #expect(gateway.tier.counts.writes <= 2)
            let row = try #require(try await stack.database.load(key))
            #expect(String(buffer: row.record.payload) == "20" && !row.hasGoneBack)
        }
    }

    @Test func whatAllMemcachedsForgetComesBack() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            #expect(await gateway.create(key, "one").isSaved)
            await gateway.tier.flush()
            let session = try await gateway.session(key)
            #expect(await gateway.save(session, key, "two").isSaved)
            // Behind the response the row learns that it is old.
            try await stack.serving(gateway) { (try? await stack.database.load(key)?.hasGoneBack) == true }
            let other = stack.gateway()
            try await stack.restartMemcacheds()
            // The service wrote everything at its end: nothing is lost.
            let restored = try await other.session(key)
            #expect(String(buffer: restored.payload) == "two")
            #expect(!restored.hasGoneBack && !restored.isDegraded)
            #expect(await other.save(restored, key, "three").isSaved)
            #expect(try await gateway.text(key) == "three")
        }
    }

    @Test func aSessionThatWentBackSaysSoOnce() async throws {
        try await Self.with { stack in
            let key = await stack.key()
            let dead = stack.gateway()
            #expect(await dead.create(key, "one").isSaved)
            await dead.tier.flush()
            let session = try await dead.session(key)
            guard case .saved(let saved) = await dead.save(session, key, "two") else {
                Issue.record("not saved")
                return
            }
            // What its service writes within a moment; then the gateway dies with its queue.
            try await stack.database.apply(.mark(key, newest: saved.version))
            try await stack.restartMemcacheds()
            let gateway = stack.gateway()
            let restored = try await gateway.session(key)
            #expect(String(buffer: restored.payload) == "one")
            #expect(restored.hasGoneBack)
            #expect(gateway.tier.counts.reverted == 1)
            #expect(try await !gateway.session(key).hasGoneBack)
            try await stack.restartMemcacheds()
            #expect(try await !gateway.session(key).hasGoneBack)
            // The one that lost its base is not taken for newer.
            #expect(await dead.save(saved, key, "three").isSaved == false)
        }
    }

    @Test func thatWhichTheGatewayStillHasIsNotLost() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            #expect(await gateway.create(key, "one").isSaved)
            let session = try await gateway.session(key)
            #expect(await gateway.save(session, key, "two").isSaved)
            // Nothing has reached the database yet.
            try await stack.restartMemcacheds()
            let restored = try await gateway.session(key)
            #expect(String(buffer: restored.payload) == "two" && !restored.hasGoneBack)
        }
    }

    @Test func whatIsDurableIsInTheDatabaseBeforeTheAnswer() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            #expect(await gateway.create(key, "one", isDurable: true).isSaved)
            var session = try await gateway.session(key)
            #expect(await gateway.save(session, key, "two", isDurable: true).isSaved)
            try await stack.restartMemcacheds()
            session = try await stack.gateway().session(key)
            #expect(String(buffer: session.payload) == "two" && !session.hasGoneBack)
            // Without the database it is not durable, and not called saved.
            stack.setDown(true)
            #expect(await gateway.save(session, key, "three", isDurable: true).isDegraded)
            #expect(try await gateway.text(key) == "three")
        }
    }

    @Test func aDestroyedSessionStaysDestroyed() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let (key, other) = (await stack.key(), await stack.key())
            for key in [key, other] { #expect(await gateway.create(key, "one", isDurable: true).isSaved) }
            let session = try await gateway.session(key)
            #expect(await gateway.destroy(key) == .destroyed)
            // The database learns the other one later.
            stack.setDown(true)
            #expect(await gateway.destroy(other) == .destroyed)
            stack.setDown(false)
            #expect(await gateway.save(session, key, "late", isDurable: true).isSaved == false)
            await gateway.tier.flush()
            try await stack.restartMemcacheds()
            for gateway in [gateway, stack.gateway()] {
                #expect(try await gateway.text(key) == nil)
                #expect(try await gateway.text(other) == nil)
            }
        }
    }

    @Test func withoutTheDatabaseRequestsGoOn() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            stack.setDown(true)
            #expect(await gateway.create(key, "one").isSaved)
            let session = try await gateway.session(key)
            #expect(await gateway.save(session, key, "two").isSaved)
            #expect(try await gateway.text(stack.key()) == nil)
            await gateway.tier.flush()
            #expect(gateway.tier.depth.waiting == 1)
            stack.setDown(false)
            try await stack.serving(gateway) { gateway.tier.depth.waiting == 0 }
            let row = try #require(try await stack.database.load(key))
            #expect(String(buffer: row.record.payload) == "two")
        }
    }

    @Test func withoutMemcachedTheDatabaseServes() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let (key, gone, unknown) = (await stack.key(), await stack.key(), await stack.key())
            for key in [key, gone] { #expect(await gateway.create(key, "one", isDurable: true).isSaved) }
            for server in stack.fixture.servers { server.kill() }
            try await Eventually.holds("the servers to be known as down") {
                if case .live(let session) = await gateway.load(key) { session.isFromDatabase } else { false }
            }
            let session = try await gateway.session(key)
            #expect(session.isDegraded && String(buffer: session.payload) == "one")
            #expect(await gateway.save(session, key, "two").isDegraded)
            #expect(await gateway.save(session, key, "lost").isDiscarded)
            #expect(try await gateway.text(key) == "two")
            #expect(await gateway.destroy(gone) == .destroyed)
            // What the database does not know may be in memcached.
            #expect(await gateway.load(unknown).isUnavailable)
            let created = await stack.key()
            #expect(await gateway.create(created, "new").isDegraded)
            for server in stack.fixture.servers { try await server.start() }
            try await stack.fixture.waitUntilComplete()
            #expect(try await gateway.text(key) == "two")
            #expect(try await gateway.text(created) == "new")
            #expect(try await gateway.text(gone) == nil)
            #expect(try await !gateway.session(key).isDegraded)
        }
    }

    @Test func unknownIDsAreLimited() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway { $0.unknownIDs = 5 }
            let client = ByteBuffer(string: "10.1.2.3").readableBytesView
            var limited = 0
            for _ in 0..<50 {
                let key = await stack.key()
                if case .limited = await gateway.run({ await $0.load(key, client: client) }) { limited += 1 }
            }
            let counts = gateway.tier.counts
            #expect(counts.limited == limited && counts.reads == 50 - limited)
            #expect(limited >= 20)
        }
    }

    @Test func anOlderStateOfAnotherGatewayChangesNothing() async throws {
        try await Self.with { stack in
            let (first, second) = (stack.gateway(), stack.gateway())
            let key = await stack.key()
            #expect(await first.create(key, "one").isSaved)
            #expect(await second.save(try await second.session(key), key, "two").isSaved)
            await second.tier.flush()
            await first.tier.flush()
            let row = try #require(try await stack.database.load(key))
            #expect(String(buffer: row.record.payload) == "two")
        }
    }

    @Test func theReaperKeepsWhatLivesAndEndsTheRest() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let (alive, expired) = (await stack.key(), await stack.key())
            for key in [alive, expired] { #expect(await gateway.create(key, "one", isDurable: true).isSaved) }
            let session = try await gateway.session(alive)
            #expect(await gateway.save(session, alive, "two").isSaved)
            for server in stack.fixture.servers {
                _ = try server.command("md \(expired.text)")
            }
            let log = stack.directory.path("sessions.log")
            let sessionLog: SessionLog = try #require(SessionLog(path: log))
            // By this reaper's clock the rows' idle time is over; in memcached one lives.
            let reaper = Reaper(
                database: stack.database,
                configuration: stack.configuration,
                source: stack.fixture.pool,
                sessionLog: sessionLog,
                site: "test",
                logger: Logger(label: "reaper") { _ in SwiftLogNoOpLogHandler() },
                clock: { StoreClock.now + 1_500_000 }
            )
            // However many are due.
            stack.database.canCount.withLock { $0 = false }
            let report = try await Task(executorPreference: stack.fixture.executor) {
                try await reaper.pass { _, total in #expect(total == nil) }
            }.value
            #expect(report == ReaperReport(rows: 2, expired: 1, refreshed: 1, postponed: 0))
            let row = try #require(try await stack.database.load(alive))
            #expect(String(buffer: row.record.payload) == "two" && row.expires > StoreClock.now + 1_500_000)
            #expect(try await stack.database.load(expired) == nil)
            let lines = stack.directory.read("sessions.log").split(separator: "\n")
            #expect(lines.count == 1 && lines[0].hasPrefix(#"{"site":"test","created":"#))
            #expect(!lines.contains { $0.contains(expired.text.suffix(20)) })
        }
    }
}
