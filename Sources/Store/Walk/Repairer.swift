package import Logging
import Memcached
import NIOCore
import Sessions

/// Walks over all sessions of a site now, and has those chosen anew whose copies are not as they should be: the protocol's
/// walk, for all servers at once. Servers that have forgotten are marked complete when it was a walk for them.
///
/// May run beside gateways and their own walks: every write is the protocol's. Runs on the pool's event loop.
package struct Repairer: Sendable {
    private let pool: ReplicaPool
    private let rate: Int?
    private let logger: Logger
    private let maximumKeys: Int

    /// Walks in which a session that cannot be chosen anew keeps a server from being marked; the last one leaves such
    /// sessions as they are: the others need the server.
    private static let maximumWalks = 3

    /// - Parameter rate: sessions per second; nil: as fast as it goes.
    package init(pool: ReplicaPool, rate: Int?, logger: Logger) {
        self.init(pool: pool, rate: rate, logger: logger, maximumKeys: KeyListing.maximumKeys)
    }

    /// - Parameter maximumKeys: in memory at once.
    init(pool: ReplicaPool, rate: Int?, logger: Logger, maximumKeys: Int) {
        self.pool = pool
        self.rate = rate
        self.logger = logger
        self.maximumKeys = maximumKeys
    }

    /// - Parameter progress: called after each session.
    package func run(progress: @escaping (_ report: RepairReport, _ share: Double) -> Void) async -> RepairReport {
        await self.pool.waitUntilConnected()
        var report = RepairReport(servers: self.pool.servers.map(\.address))
        // Where several have lost their memory, one is accepted after the other.
        for walk in 1...(Self.maximumWalks + self.pool.servers.count) where !Task.isCancelled {
            let connections = self.pool.servers.map(\.incompleteConnection)
            if connections.contains(where: { $0 != nil }) {
                // What was under way on a server's former life is over after this.
                let timeout = self.pool.configuration.memcached.operationTimeout
                try? await Task.sleep(for: self.pool.configuration.longestOperation + timeout)
            }
            let plan = RepairPlan(conditions: self.pool.conditions, redundancy: self.pool.walkedRedundancy)
            let lives = self.pool.servers.map(\.client.connection)
            let result = await self.walk(progress)
            report.add(result.report)
            let leavesNothing = walk < Self.maximumWalks
            for (server, sources) in plan.filled {
                // A server that has restarted before its keys were listed had none.
                let isSame = sources.allSatisfy { source in
                    lives[source] != nil && lives[source] == self.pool.servers[source].client.connection
                }
                guard let connection = connections[server], isSame, result.listed.isSuperset(of: sources),
                    !leavesNothing || !result.failed.contains(server)
                else { continue }
                guard await self.pool.mark(server, on: connection) else { continue }
                report.servers[server].condition = plan.accepted.contains(server) ? .accepted : .refilled
                if plan.accepted.contains(server) { self.warnOfLoss(server) }
            }
            // Another walk helps where a server came back meanwhile, or another one was accepted first.
            let conditions = self.pool.conditions
            let rest = RepairPlan(conditions: conditions, redundancy: self.pool.walkedRedundancy)
            if rest.filled.isEmpty { break }
        }
        for (server, condition) in self.pool.conditions.enumerated() {
            switch condition {
            case .complete: break
            case .incomplete: report.servers[server].condition = .incomplete
            case .down: report.servers[server].condition = .unreachable
            case .outside: report.servers[server].condition = .outside
            }
        }
        return report
    }

    private func warnOfLoss(_ server: Int) {
        self.logger.warning(
            "a server is taken as it is: the pool is new, or more servers than copies have lost their memory",
            metadata: ["server": "\(self.pool.servers[server].address)"]
        )
    }

    /// One walk over everything.
    private final class Walk {
        var report: RepairReport
        /// Servers whose keys were listed to the end.
        var listed: Set<Int>
        /// Servers to which a session belongs that could not be chosen anew.
        var failed: Set<Int> = []
        /// In the part that is walked.
        var done = 0

        init(report: RepairReport, listed: Set<Int>) {
            self.report = report
            self.listed = listed
        }
    }

    private func walk(_ progress: @escaping (RepairReport, Double) -> Void) async -> Walk {
        let conditions = self.pool.conditions
        let available = conditions.indices.filter { conditions[$0].connection != nil }
        let walk = Walk(report: RepairReport(servers: self.pool.servers.map(\.address)), listed: Set(available))
        let pipeline = KeyPipeline(pool: self.pool, pace: self.rate.map { RepairPace(rate: $0, now: .now()) })
        let reader = CopyReader(pool: self.pool, pipeline: pipeline)
        var before = 0.0
        let listing = KeyListing(pool: self.pool, maximumKeys: self.maximumKeys)
        await listing.forEachPart(of: available) { server, error in
            walk.listed.remove(server)
            walk.report.unlisted += 1
            self.logger.warning(
                "a server's keys could not be listed",
                metadata: ["server": "\(self.pool.servers[server].address)", "error": "\(error)"]
            )
        } _: { part in
            walk.done = 0
            let (start, share) = (before, part.share / Double(max(part.keys.count, 1)))
            await pipeline.run(part.keys) { key, done in
                self.bringInOrder(key, with: reader, walk) {
                    walk.done += 1
                    progress(walk.report, start + share * Double(walk.done))
                    done()
                }
            }
            before += part.share
        }
        return walk
    }

    // MARK: One session

    private func bringInOrder(
        _ key: SessionKey,
        with reader: CopyReader,
        _ walk: Walk,
        _ done: @escaping () -> Void
    ) {
        let (set, servers) = self.pool.placement.replicas(of: key)
        let forgetful = self.forgetful(servers)
        // Where one of the first servers has forgotten, the answer is known.
        if !set.home.isDisjoint(with: forgetful) {
            return self.chooseAnew(key, servers, reader, walk, done)
        }
        reader.read(key) { comparison, servers in
            guard comparison.needsRepair(forgetful: self.forgetful(servers)) else {
                if comparison.session != .none { walk.report.inOrder += 1 }
                return done()
            }
            self.chooseAnew(key, servers, reader, walk, done)
        }
    }

    /// The positions whose servers have forgotten.
    private func forgetful(_ servers: [Int]) -> Positions {
        var positions: Positions = []
        for (position, server) in servers.enumerated()
        where self.pool.servers[server].incompleteConnection != nil { positions.insert(position) }
        return positions
    }

    private func chooseAnew(
        _ key: SessionKey,
        _ servers: [Int],
        _ reader: CopyReader,
        _ walk: Walk,
        _ done: @escaping () -> Void
    ) {
        self.pool.chooseAnew(key) { outcome in
            switch outcome {
            case .chosen:
                walk.report.repaired += 1
                done()
            case .none, .destroyed, .beyondRepair:
                // Destroyed, expired, or no copy decodes: for visitors all the same.
                reader.read(key) { comparison, _ in
                    if comparison.flaws.contains(.unreadable) {
                        walk.report.unreadable += 1
                    } else if case .beyondRepair = outcome {
                        walk.report.failed += 1
                    } else if comparison.session != .none {
                        walk.report.repaired += 1
                    }
                    done()
                }
            case .discarded, .unknown, .unavailable, .degraded:
                walk.report.failed += 1
                walk.failed.formUnion(servers)
                done()
            }
        }
    }
}
