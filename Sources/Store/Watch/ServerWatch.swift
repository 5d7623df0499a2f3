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
    private let answers = Mutex<[Answer]>([])

    /// What a server said; nil while it has said nothing.
    private struct Answer {
        var address: MemcachedAddress
        var statistics: MemcachedStatistics?
    }

    package init(pool: ReplicaPool, logger: Logger, interval: Duration = .seconds(60)) {
        self.pool = pool
        self.logger = logger
        self.interval = interval
        let servers = pool.servers.map { Answer(address: $0.address) }
        self.answers.withLock { $0 = servers }
    }

    /// The last answers, nil for a server that has given none.
    package var latest: [(address: MemcachedAddress, statistics: MemcachedStatistics?)] {
        self.answers.withLock { $0.map { ($0.address, $0.statistics) } }
    }

    /// Until the task is cancelled. Runs on the pool's event loop.
    package func run() async {
        while !Task.isCancelled {
            for index in self.pool.servers.indices where !self.pool.servers[index].isClosed {
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
            while answers.count <= index { answers.append(Answer(address: self.pool.servers[answers.count].address)) }
            defer { answers[index].statistics = statistics }
            return answers[index].statistics
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
