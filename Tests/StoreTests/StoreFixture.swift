import GatewayTesting
import Logging
import Memcached
import NIOCore
import NIOPosix
import Sessions
import Testing

@testable import Store

/// Real memcacheds, and one site's store over them on an event loop of its own.
final class StoreFixture: Sendable {
    let servers: [MemcachedProcess]
    let store: SessionStore
    let counters = StoreCounters()
    var pool: ReplicaPool { self.store.pool }
    /// Where what belongs to the pool runs.
    let executor: EventLoopExecutor
    private let group: MultiThreadedEventLoopGroup
    private let walker: Task<Void, Never>?

    private init(_ servers: [MemcachedProcess], _ configuration: StoreConfiguration, walks: Bool) async throws {
        self.servers = servers
        self.group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = self.group.next()
        let executor = EventLoopExecutor(loop)
        self.executor = executor
        let counters = self.counters
        var logger = Logger(label: "store")
        logger.logLevel = .critical
        let storeLogger = logger
        let store = try await loop.submit {
            let store = SessionStore(
                configuration: configuration,
                eventLoop: loop,
                counters: counters,
                logger: storeLogger
            )
            store.pool.start()
            return store
        }.get()
        self.store = store
        guard walks else {
            self.walker = nil
            return
        }
        self.walker = Task(executorPreference: executor) { await Walker(pool: store.pool, logger: storeLogger).run() }
    }

    /// Runs the body with a store that is ready: all servers connected and complete.
    ///
    /// - Parameter walks: whether servers that have forgotten are walked for behind the body's back.
    static func with(
        servers count: Int = 3,
        redundancy: Int = 2,
        memcachedArguments: [String]? = nil,
        walks: Bool = true,
        adjust: (inout StoreConfiguration) -> Void = { _ in },
        _ body: @Sendable (StoreFixture) async throws -> Void
    ) async throws {
        var servers: [MemcachedProcess] = []
        for _ in 0..<count {
            if let memcachedArguments {
                servers.append(try await MemcachedProcess(memcachedArguments))
            } else {
                servers.append(try await MemcachedProcess())
            }
        }
        var configuration = StoreConfiguration(
            keyspace: try #require(SessionKeyspace(prefix: "sg:", site: "test")),
            servers: servers.map { server in
                StoreConfiguration.Server(
                    address: .tcp(host: "127.0.0.1", port: server.port),
                    ringServer: RingServer(host: "127.0.0.1", port: server.port)
                )
            },
            redundancy: redundancy,
            ring: .ketamaWeighted,
            idleLifetime: .seconds(1_440),
            absoluteLifetime: .seconds(86_400)
        )
        // The machines that run the tests are busy.
        configuration.memcached.operationTimeout = .milliseconds(500)
        configuration.memcached.connectTimeout = .seconds(1)
        configuration.loadTimeout = .seconds(2)
        adjust(&configuration)
        let fixture = try await StoreFixture(servers, configuration, walks: walks)
        do {
            if !walks { _ = await fixture.repair() }
            try await fixture.waitUntilComplete()
            try await body(fixture)
        } catch {
            await fixture.end()
            throw error
        }
        await fixture.end()
    }

    private func end() async {
        self.walker?.cancel()
        await self.walker?.value
        _ = try? await self.store.pool.eventLoop.flatSubmit { self.store.pool.close() }.get()
        try? await self.group.shutdownGracefully()
        for server in self.servers {
            server.kill()
        }
    }

    /// Runs the body on the store's event loop.
    func onLoop<Result: Sendable>(_ body: @Sendable @escaping (SessionStore) async -> Result) async -> Result {
        let store = self.store
        return await Task(executorPreference: self.executor) { await body(store) }.value
    }

    func waitUntilComplete(_ servers: [Int]? = nil) async throws {
        let indexes = servers ?? Array(self.servers.indices)
        var missing: [String] = []
        try await Eventually.holds(within: .seconds(60), "the servers to be complete: \(missing)") {
            missing = await self.onLoop { store in
                indexes.map { store.pool.servers[$0] }.filter { !$0.isAvailable || $0.incompleteConnection != nil }
                    .map { "\($0.name) \($0.isAvailable ? "has forgotten" : "is away")" }
            }
            return missing.isEmpty
        }
    }

    func repair(rate: Int? = nil, maximumKeys: Int = KeyListing.maximumKeys) async -> RepairReport {
        await self.onLoop { store in
            let logger = Logger(label: "repair") { _ in SwiftLogNoOpLogHandler() }
            let repairer = Repairer(pool: store.pool, rate: rate, logger: logger, maximumKeys: maximumKeys)
            return await repairer.run { _, _ in }
        }
    }

    // MARK: Sessions

    /// A fresh id's key, and its servers in ring order.
    func freshKey() async -> (key: SessionKey, servers: [Int]) {
        await self.onLoop { store in
            var random = SystemRandom()
            let key = store.key(for: SessionID.generate(using: &random))
            return (key, store.pool.placement.replicas(of: key).servers)
        }
    }

    func create(_ key: SessionKey, _ text: String) async -> SessionWriteOutcome {
        await self.onLoop { await $0.create(key, payload: ByteBuffer(string: text), hasCookieLifetime: false) }
    }

    func load(_ key: SessionKey) async -> SessionLoadOutcome {
        await self.onLoop { await $0.load(key) }
    }

    /// Nil where there is none; an expectation fails where the store cannot tell.
    func text(_ key: SessionKey, location: SourceLocation = #_sourceLocation) async -> String? {
        switch await self.load(key) {
        case .live(let session): return String(buffer: session.payload)
        case .none: return nil
        case .unavailable, .limited:
            Issue.record("the store is unavailable", sourceLocation: location)
            return nil
        }
    }

    func session(_ key: SessionKey, location: SourceLocation = #_sourceLocation) async throws -> StoredSession {
        guard case .live(let session) = await self.load(key) else {
            Issue.record("no session", sourceLocation: location)
            throw CancellationError()
        }
        return session
    }

    func save(_ session: StoredSession, _ key: SessionKey, _ text: String) async -> SessionWriteOutcome {
        await self.onLoop { await $0.save(session, key: key, payload: ByteBuffer(string: text)) }
    }

    func destroy(_ key: SessionKey) async -> SessionDestroyOutcome {
        await self.onLoop { await $0.destroy(key) }
    }

    /// How many of the servers have an item under the key.
    func copies(_ key: SessionKey) throws -> [Int] {
        try self.servers.indices.filter { index in
            let name = String(decoding: key.bytes, as: UTF8.self)
            return try self.servers[index].command("mg \(name) s").hasPrefix("HD")
        }
    }
}

extension SessionWriteOutcome {
    var isSaved: Bool { if case .saved = self { true } else { false } }
    var isDiscarded: Bool { if case .discarded = self { true } else { false } }
    var isDegraded: Bool { if case .degraded = self { true } else { false } }
}

extension SessionLoadOutcome {
    var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
}
