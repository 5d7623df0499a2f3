import Database
import Foundation
import GatewayTesting
import Logging
import NIOCore
import NIOPosix
import Sessions
import Synchronization
import Testing

@testable import Store

/// Sessions in a SQLite file alone.
@Suite(.timeLimit(.minutes(1)))
struct DatabaseStoreTests {
    private struct Fixture {
        let shared: DatabaseStore.Shared
        let store: DatabaseStore
        let directory: TemporaryDirectory
        let clock: TestClock

        /// As another process would open the same file.
        func another(idle: Duration = .seconds(1_440)) throws -> DatabaseStore.Shared {
            try Fixture.open(self.directory, idle: idle, self.clock)
        }

        private static func open(
            _ directory: TemporaryDirectory,
            idle: Duration,
            _ clock: TestClock
        ) throws -> DatabaseStore.Shared {
            let path = directory.path("sessions.sqlite")
            return DatabaseStore.Shared(
                database: try DatabaseConfiguration(location: .sqlite(path: path)).open(),
                configuration: TierConfiguration(
                    keyspace: try #require(SessionKeyspace(prefix: "sg:", site: "test")),
                    idleLifetime: idle,
                    absoluteLifetime: .seconds(86_400)
                ),
                clock: { clock.now }
            )
        }

        static func with(idle: Duration = .seconds(1_440), _ body: (Fixture) async throws -> Void) async throws {
            let directory = try TemporaryDirectory()
            let clock = TestClock()
            let shared = try self.open(directory, idle: idle, clock)
            try await shared.database.migrate()
            let store = DatabaseStore(
                shared,
                eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
                logger: Logger(label: "store")
            )
            try await body(Fixture(shared: shared, store: store, directory: directory, clock: clock))
            await shared.database.close()
        }

        func freshKey() -> SessionKey {
            var random = SystemRandom()
            return self.store.key(for: SessionID.generate(using: &random))
        }

        func create(_ key: SessionKey, _ text: String) async -> SessionWriteOutcome {
            await self.store.create(
                key,
                payload: ByteBuffer(string: text),
                hasCookieLifetime: false,
                isDurable: false
            )
        }

        func save(
            _ session: StoredSession,
            _ key: SessionKey,
            _ text: String,
            isDurable: Bool = true
        ) async -> SessionWriteOutcome {
            await self.store.save(
                session,
                key: key,
                payload: ByteBuffer(string: text),
                cookieIssued: nil,
                isDurable: isDurable
            )
        }

        func session(_ key: SessionKey) async throws -> StoredSession? {
            switch await self.store.load(key, client: nil) {
            case .live(let session): return session
            case .none: return nil
            case .unavailable, .limited: throw TestingError("the store is unavailable")
            }
        }

        func text(_ key: SessionKey) async throws -> String? {
            try await self.session(key).map { String(buffer: $0.payload) }
        }
    }

    @Test func aSignOutIsAcknowledgedWhenTheDiskHasIt() async throws {
        try await Fixture.with { fixture in
            let key = fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            let session = try #require(try await fixture.session(key))
            // What is committed cannot be flushed any more.
            try FileManager.default.removeItem(atPath: fixture.directory.path("sessions.sqlite-wal"))
            guard case .saved(let saved) = await fixture.save(session, key, "two", isDurable: false) else {
                Issue.record("an ordinary save waits for no disk")
                return
            }
            guard case .unknown = await fixture.save(saved, key, "three") else {
                Issue.record("a durable save is acknowledged")
                return
            }
            #expect(await fixture.store.destroy(key) == .unknown)
        }
    }

    @Test func aSessionIsReadAsItWasWritten() async throws {
        try await Fixture.with { fixture in
            let key = fixture.freshKey()
            #expect(try await fixture.text(key) == nil)
            #expect(await fixture.create(key, "one").isSaved)
            let session = try #require(try await fixture.session(key))
            #expect(await fixture.save(session, key, "two").isSaved)
            #expect(try await fixture.text(key) == "two")
            // From the version before: another save has won.
            #expect(await fixture.save(session, key, "three").isDiscarded)
            #expect(try await fixture.text(key) == "two")
            #expect(await fixture.store.destroy(key) == .destroyed)
            #expect(try await fixture.text(key) == nil)
            // Neither a late save nor a late creation brings it back.
            #expect(await fixture.save(session, key, "four").isDiscarded)
            #expect(await fixture.create(key, "five").isDiscarded)
            #expect(try await fixture.text(key) == nil)
        }
    }

    /// A commit whose answer was lost is made again, and meets what others have made of it meanwhile.
    @Test func aSaveThatOthersHaveGoneOnFromIsSaved() async throws {
        try await Fixture.with { fixture in
            let key = fixture.freshKey()
            _ = await fixture.create(key, "one")
            let first = try #require(try await fixture.session(key))
            guard case .saved(let second) = await fixture.save(first, key, "two"),
                case .saved(let third) = await fixture.save(second, key, "three")
            else {
                Issue.record("not saved")
                return
            }
            func again(_ session: StoredSession, over base: StoredSession) async -> SessionWriteOutcome {
                await fixture.store.write(session.record, key, isDurable: false) {
                    .compareAndSave($0, base: base.record.identity)
                }
            }
            #expect(await again(second, over: first).isSaved)
            #expect(await again(third, over: second).isSaved)
            #expect(try await fixture.text(key) == "three")
            // Another one's, from the same state.
            #expect(await fixture.save(first, key, "four").isDiscarded)
            #expect(await fixture.store.destroy(key) == .destroyed)
            #expect(await again(second, over: first).isDiscarded)
        }
    }

    @Test func ofManySavesFromOneLoadOneIsAcknowledged() async throws {
        try await Fixture.with { fixture in
            let key = fixture.freshKey()
            _ = await fixture.create(key, "0")
            for round in 1...20 {
                let session = try #require(try await fixture.session(key))
                let outcomes = await withTaskGroup(of: SessionWriteOutcome.self) { group in
                    for number in 0..<16 {
                        group.addTask { await fixture.save(session, key, "\(round)-\(number)") }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(outcomes.count(where: \.isSaved) == 1)
                #expect(outcomes.count(where: \.isDiscarded) == 15)
            }
        }
    }

    @Test func readsSlideTheExpiryWithoutAWriteForEach() async throws {
        try await Fixture.with(idle: .seconds(100)) { fixture in
            let (busy, idle) = (fixture.freshKey(), fixture.freshKey())
            _ = await fixture.create(busy, "busy")
            _ = await fixture.create(idle, "idle")
            let writes = fixture.shared.counters.snapshot.writes
            for _ in 0..<3 {
                fixture.clock.advance(by: 90_000)
                #expect(try await fixture.text(busy) == "busy")
            }
            #expect(try await fixture.text(idle) == nil)
            #expect(fixture.shared.counters.snapshot.writes == writes)
            // Another process learns of it with the next batch.
            try await fixture.shared.writeTouches()
            #expect(fixture.shared.counters.snapshot.writes == writes + 1)
            #expect(fixture.shared.pendingTouches == 0)
            let other = try fixture.another()
            let row = try #require(try await other.database.load(busy))
            #expect(row.isLive(at: fixture.clock.now))
            fixture.clock.advance(by: 101_000)
            #expect(try await fixture.text(busy) == nil)
            await other.database.close()
        }
    }

    /// A request of the configuration before may end, and its session slide, long after the reload.
    @Test func expiriesOutliveAReload() async throws {
        try await Fixture.with(idle: .seconds(100)) { fixture in
            let key = fixture.freshKey()
            _ = await fixture.create(key, "one")
            let next = DatabaseStore.Shared(
                database: fixture.shared.database,
                configuration: fixture.shared.configuration,
                after: fixture.shared,
                clock: { [clock = fixture.clock] in clock.now }
            )
            fixture.clock.advance(by: 90_000)
            #expect(try await fixture.text(key) == "one")
            fixture.clock.advance(by: 90_000)
            let store = DatabaseStore(next, eventLoop: fixture.store.eventLoop, logger: Logger(label: "next"))
            guard case .live = await store.load(key, client: nil) else {
                Issue.record("it has ended")
                return
            }
            #expect(next.pendingTouches == 1)
            try await next.writeTouches()
            #expect(fixture.shared.pendingTouches == 0)
            let row = try #require(try await next.database.load(key))
            // The clock goes on.
            #expect(row.expires > fixture.clock.now + 90_000)
        }
    }

    @Test func unknownIDsAreLimitedAndKnownOnesAreNot() async throws {
        try await Fixture.with { fixture in
            let known = fixture.freshKey()
            _ = await fixture.create(known, "one")
            let clients = (1...2).map { ByteBuffer(string: "10.1.2.\($0)").readableBytesView }
            for _ in 0..<400 {
                guard case .live = await fixture.store.load(known, client: clients[0]) else {
                    Issue.record("a session that is there")
                    return
                }
            }
            // 100 a second, twice as many at once.
            var limited = 0
            for _ in 0..<1_000 {
                if case .limited = await fixture.store.load(fixture.freshKey(), client: clients[0]) { limited += 1 }
            }
            #expect(limited > 0 && fixture.shared.counters.snapshot.limited == limited)
            #expect(fixture.shared.counters.snapshot.reads == 1_400 - limited)
            guard case .live = await fixture.store.load(known, client: clients[1]) else {
                Issue.record("another address")
                return
            }
        }
    }

    @Test func aFileThatCannotBeWrittenFailsSavesAndNotLoads() async throws {
        try await Fixture.with { fixture in
            let key = fixture.freshKey()
            _ = await fixture.create(key, "one")
            let session = try #require(try await fixture.session(key))
            // A transaction of somebody else's that does not end.
            let other = try fixture.another()
            let blocked = fixture.freshKey()
            async let blocker = Self.block(fixture.directory.path("sessions.sqlite"), for: .seconds(4))
            try await Task.sleep(for: .seconds(1))
            switch await fixture.save(session, blocked, "two") {
            case .unavailable: break
            case let outcome: Issue.record("\(outcome)")
            }
            #expect(try await fixture.text(key) == "one")
            try await blocker
            #expect(await fixture.save(session, key, "two").isSaved)
            await other.database.close()
        }
    }

    /// The system's, and what it is put forward by.
    private final class TestClock: Sendable {
        private let offset = Mutex<UInt64>(0)
        var now: UInt64 { StoreClock.now + self.offset.withLock { $0 } }
        func advance(by milliseconds: UInt64) { self.offset.withLock { $0 += milliseconds } }
    }

    private static func block(_ path: String, for time: Duration) async throws {
        let directory = try TemporaryDirectory()
        let process = try ServerProcess(
            Executable.find("python3", package: "python3"),
            [
                "-c",
                """
                import sqlite3, sys, time
                c = sqlite3.connect(sys.argv[1], isolation_level=None)
                c.execute("BEGIN IMMEDIATE")
                time.sleep(float(sys.argv[2]))
                """, path, "\(time / .seconds(1))",
            ],
            output: directory.path("log")
        )
        _ = try await process.waitForEnd()
    }
}
