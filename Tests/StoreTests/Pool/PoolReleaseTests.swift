import GatewayTesting
import Logging
import Memcached
import NIOCore
import NIOPosix
import Sessions
import Testing

@testable import Store

/// A pool and its servers hold each other until the pool is closed, and not a moment longer.
@Suite(.timeLimit(.minutes(2))) struct PoolReleaseTests {
    /// On the pool's event loop only.
    private final class Probe: @unchecked Sendable {
        weak var pool: ReplicaPool?

        init(_ pool: ReplicaPool) {
            self.pool = pool
        }
    }

    @Test(arguments: [true, false]) func aClosedPoolIsLetGo(isStarted: Bool) async throws {
        let server = try await MemcachedProcess()
        defer { server.kill() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let configuration = StoreConfiguration(
            keyspace: try #require(SessionKeyspace(prefix: "sg:", site: "test")),
            servers: [
                StoreConfiguration.Server(
                    address: .tcp(host: "127.0.0.1", port: server.port),
                    ringServer: RingServer(host: "127.0.0.1", port: server.port)
                )
            ],
            redundancy: 1,
            ring: .ketamaWeighted,
            idleLifetime: .seconds(1_440),
            absoluteLifetime: .seconds(86_400)
        )
        let probe = try await loop.submit {
            let pool = ReplicaPool(
                configuration: configuration,
                eventLoop: loop,
                counters: StoreCounters(),
                logger: Logger(label: "store") { _ in SwiftLogNoOpLogHandler() }
            )
            if isStarted { pool.start() }
            return Probe(pool)
        }.get()
        if isStarted {
            while try await loop.submit({ probe.pool?.isReady == false }).get() {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        let isHeld = try await loop.submit { probe.pool != nil }.get()
        #expect(isHeld)
        try await loop.flatSubmit { probe.pool?.close() ?? loop.makeSucceededVoidFuture() }.get()
        // What the loop was about to do has its turn first.
        try await loop.submit {}.get()
        let isLetGo = try await loop.submit { probe.pool == nil }.get()
        #expect(isLetGo)
        try await group.shutdownGracefully()
    }
}
