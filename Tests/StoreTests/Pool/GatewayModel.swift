import GatewayTesting
import Logging
import Memcached
import NIOCore
import NIOPosix
import Sessions

@testable import Store

/// A gateway as its servers see it: one site's store on an event loop of its own, with all that runs beside the requests.
final class GatewayModel: Sendable {
    let store: SessionStore
    let executor: EventLoopExecutor
    private let group: MultiThreadedEventLoopGroup
    private let companions: Task<Void, Never>

    static let keyspace = SessionKeyspace(prefix: "sg:", site: "ring")

    private init(
        store: SessionStore,
        executor: EventLoopExecutor,
        group: MultiThreadedEventLoopGroup,
        companions: Task<Void, Never>
    ) {
        self.store = store
        self.executor = executor
        self.group = group
        self.companions = companions
    }

    static func configuration(_ servers: [RingServer], memory: String? = nil) -> StoreConfiguration {
        guard let keyspace = Self.keyspace else { fatalError("the keyspace is none") }
        var configuration = StoreConfiguration(
            keyspace: keyspace,
            servers: servers.map { .init(address: .tcp(host: $0.host, port: $0.port), ringServer: $0) },
            redundancy: 2,
            ring: .ketamaWeighted,
            idleLifetime: .seconds(1_440),
            absoluteLifetime: .seconds(86_400)
        )
        // The machines that run the tests are busy.
        configuration.memcached.operationTimeout = .milliseconds(500)
        configuration.memcached.connectTimeout = .seconds(1)
        configuration.loadTimeout = .seconds(2)
        configuration.stateLease = .milliseconds(900)
        configuration.longestOperation = .seconds(1)
        configuration.memory = memory.map { PoolMemory(path: $0, longestLife: .seconds(86_400)) }
        return configuration
    }

    static func start(
        _ configuration: StoreConfiguration,
        isKeeper: Bool = true,
        isWalker: Bool = true
    ) async throws -> GatewayModel {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let executor = EventLoopExecutor(loop)
        var logger = Logger(label: "gateway")
        logger.logLevel = .critical
        let quiet = logger
        let store = try await loop.submit {
            let store = SessionStore(
                configuration: configuration,
                eventLoop: loop,
                counters: StoreCounters(),
                logger: quiet
            )
            store.pool.start()
            return store
        }.get()
        let companions = Task(executorPreference: executor) {
            await withDiscardingTaskGroup { group in
                if isWalker { group.addTask { await Walker(pool: store.pool, logger: quiet).run() } }
                if isKeeper { group.addTask { await PoolKeeper(pool: store.pool, logger: quiet).run() } }
            }
        }
        return GatewayModel(store: store, executor: executor, group: group, companions: companions)
    }

    /// It goes on to serve, and does not tell the others of itself any more: as one that is about to be restarted with
    /// another configuration.
    func stopKeeping() async {
        self.companions.cancel()
        await self.companions.value
    }

    func end() async {
        self.companions.cancel()
        await self.companions.value
        let pool = self.store.pool
        _ = try? await pool.eventLoop.flatSubmit { pool.close() }.get()
        try? await self.group.shutdownGracefully()
    }

    func onLoop<Result: Sendable>(_ body: @Sendable @escaping (SessionStore) async -> Result) async -> Result {
        let store = self.store
        return await Task(executorPreference: self.executor) { await body(store) }.value
    }

    // MARK: The pool

    var state: PoolState<RingDescription> {
        get async { await self.onLoop { $0.pool.state } }
    }

    /// How many keys are looked for elsewhere than where the pool's present state has them.
    func misplaced(_ keys: [SessionKey]) async -> Int {
        await self.onLoop { store in
            keys.count { key in
                let place = store.pool.place(of: key)
                let expected = store.pool.placement.replicas(of: key)
                return place.set != expected.set
                    || !place.servers.elementsEqual(expected.servers) { $0 === store.pool.servers[$1] }
            }
        }
    }

    /// As the program waits before it takes requests.
    func waitUntilReady() async throws {
        try await Eventually.holds("the gateway to be ready") { await self.onLoop { $0.pool.isReady } }
    }

    /// Until this ring is in force, and its servers are complete.
    func waitUntilInForce(_ servers: [RingServer], drained: Set<String> = []) async throws {
        try await Eventually.holds(within: .seconds(60), "the servers to be in force") {
            await self.onLoop { store in
                guard case .stable(let ring) = store.pool.state.stage, store.pool.state.epoch > 0 else { return false }
                return ring.servers == servers && ring.drained == drained
                    && store.pool.conditions.allSatisfy { $0.isComplete || $0 == .outside }
            }
        }
    }

    // MARK: Sessions

    func create(_ text: String) async -> (key: SessionKey, outcome: SessionWriteOutcome) {
        await self.onLoop { store in
            var random = SystemRandom()
            let key = store.key(for: SessionID.generate(using: &random))
            return (key, await store.create(key, payload: ByteBuffer(string: text), hasCookieLifetime: false))
        }
    }

    /// Sessions 0 to n − 1, each with its number in it.
    func createMany(_ count: Int) async -> [SessionKey] {
        var keys: [SessionKey] = []
        for number in 0..<count {
            let (key, outcome) = await self.create("\(number)")
            if outcome.isSaved { keys.append(key) }
        }
        return keys
    }

    /// The servers that hold the session by what is stored, and do have it.
    func holders(_ key: SessionKey) async throws -> [String] {
        await self.onLoop { store in
            await withUnsafeContinuation { continuation in
                let reader = CopyReader(pool: store.pool, pipeline: KeyPipeline(pool: store.pool))
                reader.read(key) { comparison, servers in
                    let holders = comparison.holders.filter { comparison.findings[$0] == .present }
                    continuation.resume(returning: holders.map { store.pool.servers[servers[$0]].name })
                }
            }
        }
    }

    /// `"none"` and `"unavailable"` are no session's text.
    func text(_ key: SessionKey) async -> String {
        await self.onLoop { store in
            switch await store.load(key) {
            case .live(let session): session.isDegraded ? "degraded" : String(buffer: session.payload)
            case .none: "none"
            case .unavailable, .limited: "unavailable"
            }
        }
    }

    /// Sessions that do not read as what was written into them.
    func misread(_ keys: [SessionKey], _ text: (Int) -> String) async -> [String] {
        var misread: [String] = []
        for (number, key) in keys.enumerated() {
            let found = await self.text(key)
            if found != text(number) { misread.append("\(number): \(found)") }
        }
        return misread
    }

    /// Loads, adds one, saves; until somebody is told to stop. At most one of two that add at once is acknowledged.
    /// - Returns: how many were acknowledged, and what else was heard.
    func count(_ key: SessionKey, until isOver: Flag) async -> (saved: Int, failures: [String]) {
        await self.onLoop { store in
            var saved = 0
            var failures: [String] = []
            while !isOver.isSet {
                switch await store.load(key) {
                case .live(let session) where !session.isDegraded:
                    let number = (Int(String(buffer: session.payload)) ?? 0) + 1
                    let started = ContinuousClock.now
                    let epochs = "\(store.pool.state.epoch) \(session.loaded.needsRepair)"
                    let outcome = await store.save(session, key: key, payload: ByteBuffer(string: "\(number)"))
                    store.maintain(session, key: key)
                    switch outcome {
                    case .saved: saved += 1
                    case .discarded: break
                    case .unknown, .degraded, .unavailable:
                        failures.append(
                            "\("\(outcome)".prefix(12)) \(epochs) to \(store.pool.state.epoch) \(ContinuousClock.now - started)"
                        )
                    }
                case .live: failures.append("degraded load")
                case .none: failures.append("none")
                case .unavailable, .limited: failures.append("unavailable load")
                }
                try? await Task.sleep(for: .milliseconds(2))
            }
            return (saved, failures)
        }
    }
}
