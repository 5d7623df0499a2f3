import Database
import GatewayTesting
import Logging
import NIOCore
import NIOPosix
import Sessions
import Testing

@testable import Store

/// Sessions that another program kept until now, in each kind of store.
@Suite(.timeLimit(.minutes(2)))
struct AdoptionTests {
    enum Kind: String, CaseIterable, Sendable {
        case memcached, hybrid, database
    }

    /// A store, and a second one over the same servers or the same file, as another gateway has it.
    private struct Stores: Sendable {
        let store: any SessionStorage
        let other: any SessionStorage
        let executor: EventLoopExecutor
        let database: (any SessionDatabase)?
        let fixture: StoreFixture?

        func run<Result: Sendable>(
            _ body: @Sendable @escaping (any SessionStorage) async -> Result
        ) async -> Result {
            let store = self.store
            return await Task(executorPreference: self.executor) { await body(store) }.value
        }

        func adopt(_ id: SessionID, _ text: String, byOther: Bool = false) async -> SessionLoadOutcome {
            let store = byOther ? self.other : self.store
            return await Task(executorPreference: self.executor) {
                await store.adopt(
                    store.key(for: id),
                    mark: store.adoptionMark(of: id),
                    payload: ByteBuffer(string: text)
                )
            }.value
        }

        func load(_ id: SessionID) async -> SessionLoadOutcome {
            await self.run { await $0.load($0.key(for: id), client: nil) }
        }
    }

    private static func with(
        _ kind: Kind,
        idle: Duration = .seconds(1_440),
        until: SessionRecord.Timestamp = StoreClock.now + 40 * 86_400_000,
        _ body: @Sendable (Stores) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let logger = Logger(label: "store") { _ in SwiftLogNoOpLogHandler() }
        var configuration = TierConfiguration(
            keyspace: try #require(SessionKeyspace(prefix: "sg:", site: "test")),
            idleLifetime: idle,
            absoluteLifetime: .seconds(86_400)
        )
        configuration.tombstonesUntil = until
        let tiers = configuration
        var database: (any SessionDatabase)?
        if kind != .memcached {
            database = try DatabaseConfiguration(location: .sqlite(path: directory.path("s.sqlite"))).open()
            try await database?.migrate()
        }
        if kind == .database, let database {
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            func make() -> DatabaseStore {
                let shared = DatabaseStore.Shared(database: database, configuration: tiers)
                return DatabaseStore(shared, eventLoop: loop, logger: logger)
            }
            try await body(
                Stores(
                    store: make(),
                    other: make(),
                    executor: EventLoopExecutor(loop),
                    database: database,
                    fixture: nil
                )
            )
        } else {
            let opened = database
            try await StoreFixture.with { configuration in
                configuration.idleLifetime = idle
                configuration.tombstonesUntil = until
            } _: { fixture in
                func make() -> any SessionStorage {
                    guard let opened else { return fixture.store }
                    let tier = DatabaseTier(database: opened, configuration: tiers, logger: logger)
                    return HybridStore(replicas: fixture.store, tier: tier)
                }
                try await body(
                    Stores(
                        store: make(),
                        other: make(),
                        executor: fixture.executor,
                        database: opened,
                        fixture: fixture
                    )
                )
            }
        }
        await database?.close()
    }

    private func freshID() throws -> SessionID {
        try #require(
            SessionID(phpCookie: (0..<26).map { _ in "abcdefghijklmnopqrstuv0123456789".utf8.randomElement()! })
        )
    }

    private func text(_ outcome: SessionLoadOutcome) -> String? {
        switch outcome {
        case .live(let session): String(buffer: session.payload)
        case .none: nil
        case .unavailable, .limited: "unavailable"
        }
    }

    @Test(arguments: Kind.allCases)
    func aSessionIsTakenOverAndLivesOn(kind: Kind) async throws {
        try await Self.with(kind) { stores in
            let id = try self.freshID()
            guard case .live(let session) = await stores.adopt(id, "old") else {
                Issue.record("not taken over")
                return
            }
            #expect(String(buffer: session.payload) == "old")
            // Where the cookie has a lifetime, the first response sends it anew.
            #expect(session.record.cookieIssued == 0)
            let saved = await stores.run { store in
                await store.save(
                    session,
                    key: store.key(for: id),
                    payload: ByteBuffer(string: "new"),
                    cookieIssued: nil,
                    isDurable: false
                )
            }
            guard case .saved = saved else {
                Issue.record("not saved: \(saved)")
                return
            }
            #expect(self.text(await stores.load(id)) == "new")
            // What the application writes to the old store meanwhile counts no more.
            #expect(self.text(await stores.adopt(id, "older")) == "new")
        }
    }

    @Test(arguments: Kind.allCases)
    func ofManyAtOnceOneWinsAndAllGetIt(kind: Kind) async throws {
        try await Self.with(kind) { stores in
            let id = try self.freshID()
            let texts = await withTaskGroup(of: String?.self) { group in
                for number in 0..<8 {
                    group.addTask { self.text(await stores.adopt(id, "\(number)", byOther: number % 2 == 1)) }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(texts.count == 8)
            #expect(Set(texts).count == 1, "\(texts)")
            #expect(self.text(await stores.load(id)) == texts[0])
        }
    }

    @Test(arguments: Kind.allCases)
    func aLogoutIsNotTakenBack(kind: Kind) async throws {
        try await Self.with(kind) { stores in
            let id = try self.freshID()
            #expect(self.text(await stores.adopt(id, "old")) == "old")
            guard case .destroyed = await stores.run({ await $0.destroy($0.key(for: id)) }) else {
                Issue.record("not destroyed")
                return
            }
            #expect(self.text(await stores.adopt(id, "old")) == nil)
            #expect(self.text(await stores.adopt(id, "old", byOther: true)) == nil)
            #expect(self.text(await stores.load(id)) == nil)
        }
    }

    @Test(arguments: Kind.allCases)
    func aSessionThatHasExpiredIsNotTakenOverASecondTime(kind: Kind) async throws {
        try await Self.with(kind, idle: .seconds(1)) { stores in
            let id = try self.freshID()
            #expect(self.text(await stores.adopt(id, "old")) == "old")
            try await Eventually.holds("the session to expire") {
                // A load would keep it alive.
                try await Task.sleep(for: .milliseconds(2_200))
                if case .none = await stores.load(id) { return true }
                return false
            }
            #expect(self.text(await stores.adopt(id, "old")) == nil)
            #expect(self.text(await stores.adopt(id, "old", byOther: true)) == nil)
        }
    }

    @Test func theDatabaseRemembersALogoutThatMemcachedHasForgotten() async throws {
        try await Self.with(.hybrid) { stores in
            let id = try self.freshID()
            #expect(self.text(await stores.adopt(id, "old")) == "old")
            _ = await stores.run { await $0.destroy($0.key(for: id)) }
            let fixture = try #require(stores.fixture)
            for server in fixture.servers { try await server.restart() }
            try await Eventually.holds(within: .seconds(60), "the servers to be there") {
                if case .none = await stores.load(id) { return true }
                return false
            }
            try await fixture.waitUntilComplete()
            #expect(self.text(await stores.adopt(id, "old")) == nil)
        }
    }

    @Test(arguments: [Kind.hybrid, .database])
    func theRowOfALogoutStaysAsLongAsItCouldBeTakenOver(kind: Kind) async throws {
        let until = StoreClock.now + 40 * 86_400_000
        try await Self.with(kind, until: until) { stores in
            let id = try self.freshID()
            #expect(self.text(await stores.adopt(id, "old")) == "old")
            _ = await stores.run { await $0.destroy($0.key(for: id)) }
            // Due at once, until memcached has heard of it.
            await (stores.store as? HybridStore)?.tier.flush()
            let (key, mark) = await stores.run { ($0.key(for: id), $0.adoptionMark(of: id)) }
            for key in [key, mark] {
                let row = try #require(try await stores.database?.load(key))
                #expect(row.record.isTombstone)
                #expect(row.record.absoluteDeadline >= until)
                #expect(row.expires >= until)
                #expect(row.due >= until)
            }
        }
    }

    @Test func memcachedKeepsATombstoneAsLongAsItCouldBeTakenOver() async throws {
        try await Self.with(.memcached) { stores in
            let id = try self.freshID()
            #expect(self.text(await stores.adopt(id, "old")) == "old")
            _ = await stores.run { await $0.destroy($0.key(for: id)) }
            let fixture = try #require(stores.fixture)
            let (key, mark) = await stores.run { ($0.key(for: id), $0.adoptionMark(of: id)) }
            for key in [key, mark] {
                let lives = try fixture.servers.compactMap { server -> Int? in
                    let answer = try server.command("mg \(key.text) t")
                    guard answer.hasPrefix("HD t") else { return nil }
                    return Int(answer.dropFirst(4).prefix { $0.isNumber })
                }
                // A third server may have promised, and keeps nothing.
                #expect(lives.filter { $0 > 39 * 86_400 }.count == 2, "\(lives)")
            }
        }
    }
}
