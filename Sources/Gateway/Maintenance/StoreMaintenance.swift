package import Configuration
package import Logging
import Memcached
import NIOCore
import NIOPosix
package import Store

/// The store of one site for the commands that look after it, beside running gateways or without any: connections of
/// their own on one event loop.
package enum StoreMaintenance {
    /// Of one command to a server: whoever waits is no visitor, and a time-out costs the connection.
    private static let operationTimeout: Duration = .seconds(1)
    private static let connectTimeout: Duration = .seconds(1)

    /// Connects, runs the body on the store's event loop, and ends the connections.
    ///
    /// - Throws: `GatewayError` where the site has no store; what the body throws.
    package static func withPool<Result: Sendable>(
        of site: GatewayConfiguration.Site,
        logger: Logger,
        _ body: @escaping @Sendable (ReplicaPool) async throws -> Result
    ) async throws -> Result {
        guard var configuration = try StoreConfiguration.make(site) else {
            throw GatewayError("site \(site.name) has no servers: its sessions are in its database alone")
        }
        configuration.memcached.operationTimeout = max(
            configuration.memcached.operationTimeout,
            Self.operationTimeout
        )
        configuration.memcached.connectTimeout = max(configuration.memcached.connectTimeout, Self.connectTimeout)
        // As many as the commands keep under way.
        configuration.memcached.maximumCommandsInFlight = max(configuration.memcached.maximumCommandsInFlight, 4_096)
        let configured = configuration
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let task = Task(executorPreference: EventLoopExecutor(loop)) {
            let pool = ReplicaPool(
                configuration: configured,
                eventLoop: loop,
                counters: StoreCounters(),
                logger: logger
            )
            pool.start()
            do {
                let result = try await body(pool)
                try? await pool.close().get()
                return result
            } catch {
                try? await pool.close().get()
                throw error
            }
        }
        do {
            let result = try await task.value
            try await group.shutdownGracefully()
            return result
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }
}
