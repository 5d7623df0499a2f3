import GatewayTesting
import Logging
import Memcached
import NIOCore
import NIOPosix
import Sessions
import Store

/// How fast a repair walks: three memcacheds with two copies of each session, one of them restarted empty.
/// `repair-benchmark [SESSIONS [BYTES]]`
@main
struct RepairBenchmark {
    private static let operationTimeout: Duration = .seconds(1)

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        let count = arguments.first ?? 100_000
        let bytes = arguments.dropFirst().first ?? 1_024
        var servers: [MemcachedProcess] = []
        for _ in 0..<3 { servers.append(try await MemcachedProcess(["-m", "2048", "-t", "2"])) }
        let configuration = try self.configuration(servers)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let logger = Logger(label: "repair") { _ in SwiftLogNoOpLogHandler() }
        let processes = servers
        try await Task(executorPreference: EventLoopExecutor(loop)) {
            let store = SessionStore(
                configuration: configuration,
                eventLoop: loop,
                counters: StoreCounters(),
                logger: logger
            )
            store.pool.start()
            // A new pool: the servers are taken as they are.
            _ = await Repairer(pool: store.pool, rate: nil, logger: logger).run { _, _ in }
            try await self.fill(store, count: count, bytes: bytes)
            print("\(count) sessions of \(bytes) bytes on three memcacheds, two copies each")
            try await self.measure("nothing to do", store, logger)
            try await processes[1].restart()
            try await Eventually.holds("the server to be connected") { store.pool.conditions[1].isIncomplete }
            try await self.measure("one server empty", store, logger)
            try await self.measure("afterwards", store, logger)
            try await self.measureWalk(store, processes[2], count: count, logger)
            let start = ContinuousClock.now
            let report = await Verifier(pool: store.pool, logger: logger).run(
                sample: nil,
                fault: { _ in },
                progress: { _, _ in }
            )
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let rate = Int(Double(report.sessions) / seconds)
            print("verify: \(report.complete) of \(report.sessions) complete, \(rate) sessions/s")
            try await store.pool.close().get()
        }.value
        try await group.shutdownGracefully()
        for server in servers { server.kill() }
    }

    private static func configuration(_ servers: [MemcachedProcess]) throws -> StoreConfiguration {
        guard let keyspace = SessionKeyspace(prefix: "sg:", site: "benchmark") else { throw CancellationError() }
        var configuration = StoreConfiguration(
            keyspace: keyspace,
            servers: servers.map { server in
                StoreConfiguration.Server(
                    address: .tcp(host: "127.0.0.1", port: server.port),
                    ringServer: RingServer(host: "127.0.0.1", port: server.port)
                )
            },
            redundancy: 2,
            ring: .ketamaWeighted,
            idleLifetime: .seconds(3_600),
            absoluteLifetime: .seconds(86_400)
        )
        configuration.memcached.operationTimeout = self.operationTimeout
        configuration.memcached.maximumCommandsInFlight = 4_096
        configuration.loadTimeout = .seconds(2)
        return configuration
    }

    private static func fill(_ store: SessionStore, count: Int, bytes: Int) async throws {
        let payload = ByteBuffer(bytes: (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        await withDiscardingTaskGroup { group in
            for lane in 0..<64 {
                group.addTask {
                    var random = SystemRandom()
                    for _ in 0..<(count / 64 + (lane < count % 64 ? 1 : 0)) {
                        let key = store.key(for: SessionID.generate(using: &random))
                        _ = await store.create(key, payload: payload, hasCookieLifetime: false)
                    }
                }
            }
        }
    }

    /// The pause in which operations on the server's former life end is not counted.
    private static func measure(_ what: String, _ store: SessionStore, _ logger: Logger) async throws {
        let clock = Clock()
        let report = await Repairer(pool: store.pool, rate: nil, logger: logger).run { _, _ in clock.tick() }
        let rate = Double(report.sessions) / clock.seconds
        print("\(what): \(Int(rate)) sessions/s; \(report.repaired) written anew, \(report.failed) failed")
    }

    /// Of the sessions that it lists, those that it need not touch included.
    private static func measureWalk(
        _ store: SessionStore,
        _ server: MemcachedProcess,
        count: Int,
        _ logger: Logger
    ) async throws {
        try await server.restart()
        try await Eventually.holds("the server to be connected") { store.pool.conditions[2].isIncomplete }
        let start = ContinuousClock.now
        let walker = Task(executorPreference: EventLoopExecutor(store.pool.eventLoop)) {
            await Walker(pool: store.pool, logger: logger).run()
        }
        try await Eventually.holds(within: .seconds(60), "the walk") { store.pool.conditions[2].isComplete }
        walker.cancel()
        let pause = StoreConfiguration.defaultLongestOperation + self.operationTimeout
        let seconds = (ContinuousClock.now - start - pause) / .seconds(1)
        print("a gateway's own walk: \(Int(Double(count) / seconds)) sessions/s")
    }

    /// From the first to the last session.
    private final class Clock {
        private var first: ContinuousClock.Instant?
        private var last: ContinuousClock.Instant?

        func tick() {
            let now = ContinuousClock.now
            if self.first == nil { self.first = now }
            self.last = now
        }

        var seconds: Double {
            guard let first, let last else { return 0 }
            return (last - first) / .seconds(1)
        }
    }
}
