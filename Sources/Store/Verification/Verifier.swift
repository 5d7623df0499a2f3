package import Logging
package import Memcached
import NIOCore
package import Sessions

/// Compares the copies of a site's sessions over all servers. Reads and nothing else: no expiry slides, nothing is written.
/// Runs on the pool's event loop.
package struct Verifier: Sendable {
    /// One thing that was found, for those who want to look at the item itself.
    package struct Fault: Sendable {
        package var finding: CopyComparison.Finding
        package var address: MemcachedAddress
        package var key: SessionKey
    }

    private let pool: ReplicaPool
    private let logger: Logger
    private let maximumKeys: Int

    /// Keys of one call of the reader: between two calls the caller hears how far it is.
    private static let batchSize = 2_000

    package init(pool: ReplicaPool, logger: Logger) {
        self.init(pool: pool, logger: logger, maximumKeys: KeyListing.maximumKeys)
    }

    /// - Parameter maximumKeys: in memory at once.
    init(pool: ReplicaPool, logger: Logger, maximumKeys: Int) {
        self.pool = pool
        self.logger = logger
        self.maximumKeys = maximumKeys
    }

    /// - Parameters:
    ///   - sample: compares so many sessions, chosen at random; nil: all.
    ///   - fault: called with each missing, older or corrupt copy.
    ///   - progress: called now and then with the sessions compared so far and their share of all.
    package func run(
        sample: Int?,
        fault: (Fault) -> Void,
        progress: (_ sessions: Int, _ share: Double) -> Void
    ) async -> VerificationReport {
        await self.pool.waitUntilConnected()
        var report = VerificationReport(
            redundancy: self.pool.configuration.redundancy,
            servers: self.pool.servers.map(\.address)
        )
        var conditions = self.pool.conditions
        var unlisted = Set(conditions.indices.filter { conditions[$0] == .down })
        let pipeline = KeyPipeline(pool: self.pool)
        var chosen = sample.map { KeySample(count: $0) }
        var random = SystemRandomNumberGenerator()
        var done = 0.0
        let listing = KeyListing(pool: self.pool, maximumKeys: self.maximumKeys)
        await listing.forEachPart(of: conditions.indices.filter { conditions[$0].connection != nil }) { server, error in
            unlisted.insert(server)
            self.logger.warning(
                "a server's keys could not be listed",
                metadata: ["server": "\(self.pool.servers[server].address)", "error": "\(error)"]
            )
        } _: { part in
            for servers in part.misplaced.values {
                for server in servers { report.servers[server].misplaced += 1 }
            }
            if chosen != nil {
                for key in part.keys { chosen?.add(key, using: &random) }
            } else {
                await self.compare(part, with: pipeline, into: &report, fault: fault) { count, share in
                    progress(count, done + share * part.share)
                }
                done += part.share
            }
        }
        if let chosen {
            let part = KeyListing.Part(keys: chosen.keys, misplaced: [:], share: 1)
            await self.compare(part, with: pipeline, into: &report, fault: fault, progress: progress)
        }
        // A server may have come or gone meanwhile: it counts as what it was at its worst.
        for (server, condition) in self.pool.conditions.enumerated() {
            if conditions[server].isComplete { conditions[server] = condition }
            if condition == .down || unlisted.contains(server) { conditions[server] = .down }
        }
        for (server, condition) in conditions.enumerated() {
            report.servers[server].condition =
                switch condition {
                case .complete: .complete
                case .incomplete: .incomplete
                case .down: .unreachable
                case .outside: .outside
                }
        }
        return report
    }

    private func compare(
        _ part: KeyListing.Part,
        with pipeline: KeyPipeline,
        into report: inout VerificationReport,
        fault: (Fault) -> Void,
        progress: (_ sessions: Int, _ share: Double) -> Void
    ) async {
        var suspects = Suspects()
        var keys = part.keys
        var settled = 0
        while !keys.isEmpty, !Task.isCancelled {
            suspects.readingBegins()
            var batch = keys[...]
            while !batch.isEmpty, !Task.isCancelled {
                let results = await self.comparisons(batch.prefix(Self.batchSize), with: pipeline)
                batch = batch.dropFirst(Self.batchSize)
                for (key, comparison, servers) in results {
                    switch suspects.read(key, comparison) {
                    case .settled:
                        settled += 1
                        report.add(comparison, on: servers, isMisplaced: part.misplaced[key] != nil)
                        self.tell(key, comparison, servers, fault)
                    case .changing:
                        settled += 1
                        report.addChanging()
                    case .readAgain:
                        break
                    }
                }
                progress(report.sessions, Double(settled) / Double(max(part.keys.count, 1)))
            }
            keys = suspects.keys
            if !keys.isEmpty {
                try? await Task.sleep(for: Suspects.pause + self.pool.configuration.memcached.operationTimeout)
            }
        }
    }

    private func comparisons(
        _ keys: ArraySlice<SessionKey>,
        with pipeline: KeyPipeline
    ) async -> [(SessionKey, CopyComparison, [Int])] {
        let results = Results()
        let reader = CopyReader(pool: self.pool, pipeline: pipeline)
        await pipeline.run(Array(keys)) { key, done in
            reader.read(key) { comparison, servers in
                results.all.append((key, comparison, servers))
                done()
            }
        }
        return results.all
    }

    private final class Results {
        var all: [(SessionKey, CopyComparison, [Int])] = []
    }

    private func tell(
        _ key: SessionKey,
        _ comparison: CopyComparison,
        _ servers: [Int],
        _ fault: (Fault) -> Void
    ) {
        guard !comparison.isInOrder else { return }
        for (server, finding) in zip(servers, comparison.findings) {
            switch finding {
            case .missing, .older, .corrupt:
                fault(Fault(finding: finding, address: self.pool.servers[server].address, key: key))
            case .present, .leftover, .none, .unknown: break
            }
        }
    }
}
