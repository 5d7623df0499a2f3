package import Logging
package import Memcached
import NIOCore
import Synchronization

/// Asks each server of a site once a minute what it says about itself, keeps the answers, and warns of what has become
/// worse. A server that does not answer is left out until the next time: its connection tells that it is down.
package final class ServerWatch: Sendable {
    private let pool: ReplicaPool
    private let logger: Logger
    private let interval: Duration
    /// By server, in the order of the configuration.
    private let answers: Mutex<[MemcachedStatistics?]>

    package init(pool: ReplicaPool, logger: Logger, interval: Duration = .seconds(60)) {
        self.pool = pool
        self.logger = logger
        self.interval = interval
        self.answers = Mutex(Array(repeating: nil, count: pool.servers.count))
    }

    /// The last answers, nil for a server that has given none.
    package var latest: [(address: MemcachedAddress, statistics: MemcachedStatistics?)] {
        let answers = self.answers.withLock { $0 }
        return zip(self.pool.servers, answers).map { ($0.address, $1) }
    }

    /// Until the task is cancelled. Runs on the pool's event loop.
    package func run() async {
        while !Task.isCancelled {
            for index in self.pool.servers.indices {
                if let statistics = await self.statistics(of: self.pool.servers[index]) {
                    self.take(statistics, of: index)
                }
            }
            try? await Task.sleep(for: self.interval)
        }
    }

    private func statistics(of server: ReplicaServer) async -> MemcachedStatistics? {
        await withUnsafeContinuation { continuation in
            server.client.send(.statistics) { result, _ in
                if case .success(.statistics(let statistics)) = result {
                    continuation.resume(returning: statistics)
                } else {
                    continuation.resume(returning: nil)
                }
            }
        }
    }

    private func take(_ statistics: MemcachedStatistics, of index: Int) {
        let earlier = self.answers.withLock { answers in
            defer { answers[index] = statistics }
            return answers[index]
        }
        for decline in ServerDecline.between(earlier, statistics) {
            var metadata: Logger.Metadata = ["server": "\(self.pool.servers[index].address)"]
            switch decline {
            case .evictions(let count):
                metadata["evictions"] = "\(count)"
                metadata["bytes"] = "\(statistics.bytes)"
                metadata["limit_maxbytes"] = "\(statistics.byteLimit)"
                self.logger.warning(
                    "a memcached has evicted live items: sessions lose copies; give it more memory (-m)",
                    metadata: metadata
                )
            case .connectionLimitHits(let count):
                metadata["listen_disabled_num"] = "\(count)"
                self.logger.warning(
                    "a memcached has run out of connections; allow it more (-c)",
                    metadata: metadata
                )
            }
        }
    }
}
