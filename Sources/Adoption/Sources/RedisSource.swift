package import Logging
package import NIOCore
package import Sessions
import Synchronization

/// Sessions of phpredis, on one Redis or spread over several by their weights.
package final class RedisSource: SessionSource {
    package enum Address: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package struct Server: Sendable {
        package var address: Address
        package var weight: Int
        package var database: Int
        package var prefix: String
        package var user: String?
        package var password: String?

        package init(
            address: Address,
            weight: Int = 1,
            database: Int = 0,
            prefix: String,
            user: String? = nil,
            password: String? = nil
        ) {
            self.address = address
            self.weight = weight
            self.database = database
            self.prefix = prefix
            self.user = user
            self.password = password
        }
    }

    package struct Configuration: Sendable {
        /// In the order of the save path.
        package var servers: [Server]
        package var maximumSize: Int
        package var timeout: Duration

        package init(servers: [Server], maximumSize: Int, timeout: Duration) {
            self.servers = servers
            self.maximumSize = maximumSize
            self.timeout = timeout
        }
    }

    /// Connections that nobody uses at the moment, at most one by thread.
    private final class Idle: Sendable {
        private let connections = Mutex<[RedisConnection]>([])

        func take() -> RedisConnection? { self.connections.withLock { $0.popLast() } }

        func put(_ connection: RedisConnection) {
            self.connections.withLock { if $0.count < RedisSource.threads { $0.append(connection) } }
        }
    }

    private static let threads = 4

    private let configuration: Configuration
    private let placement: RedisPlacement
    private let idle: [Idle]
    private let looks: [BlockingLooks]

    package init(_ configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.placement = RedisPlacement(weights: configuration.servers.map(\.weight))
        self.idle = configuration.servers.map { _ in Idle() }
        // By server: one that does not answer holds up only its own.
        self.looks = configuration.servers.map { _ in
            BlockingLooks(threads: Self.threads, timeout: configuration.timeout, logger: logger)
        }
    }

    package func look(for id: SessionID, on eventLoop: any EventLoop) async -> SourceFinding {
        let index = self.placement.server(of: id)
        let server = self.configuration.servers[index]
        let idle = self.idle[index]
        let (limit, timeout) = (self.configuration.maximumSize, self.configuration.timeout)
        let key = server.prefix + id.text
        return await self.looks[index].look(on: eventLoop) {
            do throws(RedisConnection.Failure) {
                if let connection = idle.take() {
                    do throws(RedisConnection.Failure) {
                        return try Self.look(at: key, over: connection, idle, limit: limit)
                    } catch {
                        // The server has closed it meanwhile.
                        guard error.isConnectionLost else { throw error }
                    }
                }
                let connection = try RedisConnection(to: server, timeout: timeout)
                return try Self.look(at: key, over: connection, idle, limit: limit)
            } catch {
                return .unavailable(error.reason)
            }
        }
    }

    /// The lock is looked at before the data: a request that is over then has written it.
    private static func look(
        at key: String,
        over connection: RedisConnection,
        _ idle: Idle,
        limit: Int
    ) throws(RedisConnection.Failure) -> SourceFinding {
        let replies = try connection.ask([
            ["EXISTS", key + "_LOCK"], ["GETRANGE", key, "0", "\(limit)"],
        ])
        switch (replies[0], replies[1]) {
        case (.number(let locks), .bytes(let data)):
            idle.put(connection)
            return locks > 0 ? .locked : StoredValue.session(data, limit: limit)
        default:
            throw RedisConnection.Failure(reason: "Redis answers with an error")
        }
    }
}
