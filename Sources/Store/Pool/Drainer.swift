package import Logging
import Memcached
import NIOCore
import Sessions

/// Empties a server before a planned reboot, and lets it hold sessions again. The state of the pool says which servers are
/// drained: a drained one is no holder of what is written and is not asked first, but still votes. On the pool's event
/// loop; beside running gateways, or without any.
package struct Drainer: Sendable {
    package enum Outcome: Sendable, Equatable {
        /// No session depends on the server any more.
        case done(moved: Int)
        case refused(String)
        /// Tried, and not reached: to be tried again.
        case failed(String)
    }

    private let pool: ReplicaPool
    private let logger: Logger
    /// Looks at all sessions; one that is saved all the time may be missed a few times.
    private static let maximumPasses = 10

    package init(pool: ReplicaPool, logger: Logger) {
        self.pool = pool
        self.logger = logger
    }

    // MARK: Draining

    /// - Parameter progress: called after each session, with how many were brought elsewhere so far.
    package func drain(_ server: String, progress: @escaping (_ moved: Int, _ share: Double) -> Void) async -> Outcome {
        await self.prepare()
        guard case .stable(let ring) = self.pool.state.stage else { return .refused("the servers are being changed") }
        guard ring.members.contains(server) else { return .refused("\(server) is not one of the servers in force") }
        let drained = ring.drained.union([server])
        if let problem = self.problem(ring, drained) { return .refused(problem) }
        guard await self.bring(to: ring.draining(drained)) else {
            return .failed("too few servers could be told, or another change came in between")
        }
        var moved = 0
        for _ in 1...Self.maximumPasses where !Task.isCancelled {
            let pass = await self.pass(server) { progress(moved + $0, $1) }
            moved += pass.moved
            if let problem = pass.problem { return .failed(problem) }
            if let problem = self.problem(ring, drained) { return .failed(problem) }
            if pass.dependent == 0 { return .done(moved: moved) }
        }
        return .failed("some sessions are written again and again: try once more")
    }

    /// Why a server cannot be spared.
    private func problem(_ ring: RingDescription, _ drained: Set<String>) -> String? {
        let layout = ReplicaLayout(redundancy: ring.redundancy, servers: ring.members.count, placement: 0)
        if layout.count - drained.count < layout.redundancy {
            let others = ring.drained.sorted().joined(separator: ", ")
            return ring.drained.isEmpty || drained == ring.drained
                ? """
                a session has \(layout.count) servers and needs \(layout.redundancy) of them: none can be spared; a server \
                that is taken out of the configuration is emptied too
                """
                : "drained already: \(others); a session has \(layout.count) servers and needs \(layout.redundancy) of them"
        }
        let sights = self.pool.sights
        let missing = ring.members.filter { !drained.contains($0) && sights[$0]?.condition.isComplete != true }
        return missing.isEmpty ? nil : "not complete, so no other can be spared: \(missing.joined(separator: ", "))"
    }

    private struct Pass {
        var dependent = 0
        var moved = 0
        var problem: String?
    }

    /// Looks at every session once, and has those chosen anew that the server holds.
    private func pass(_ server: String, progress: @escaping (Int, Double) -> Void) async -> Pass {
        final class Course {
            var pass = Pass()
            var done = 0
        }
        let course = Course()
        guard let number = self.pool.numbers[server] else { return course.pass }
        let pipeline = KeyPipeline(pool: self.pool)
        let reader = CopyReader(pool: self.pool, pipeline: pipeline)
        let conditions = self.pool.conditions
        let sources = conditions.indices.filter { conditions[$0].connection != nil }
        var before = 0.0
        await KeyListing(pool: self.pool).forEachPart(of: sources) { source, error in
            // The server itself may be down already; what it holds is held by others too.
            guard source != number else { return }
            course.pass.problem = "the keys of \(self.pool.servers[source].address) cannot be listed: \(error)"
        } _: { part in
            course.done = 0
            let (start, share) = (before, part.share / Double(max(part.keys.count, 1)))
            await pipeline.run(part.keys) { key, done in
                reader.read(key) { comparison, servers in
                    func finish() {
                        course.done += 1
                        progress(course.pass.moved, start + share * Double(course.done))
                        done()
                    }
                    let stake = servers.firstIndex(of: number).map { comparison.stake(in: $0) } ?? .nothing
                    guard stake != .nothing else { return finish() }
                    course.pass.dependent += 1
                    // Asked again in the next pass.
                    guard stake == .aCopy else { return finish() }
                    self.pool.perform(.keep, key: key, timeout: self.pool.configuration.longestOperation) { outcome in
                        switch outcome {
                        case .chosen, .none, .destroyed: course.pass.moved += 1
                        case .discarded, .unknown, .unavailable, .degraded, .beyondRepair: break
                        }
                        finish()
                    }
                }
            }
            before += part.share
        }
        return course.pass
    }

    // MARK: And back

    /// - Parameter progress: called after each session, while they are brought back to where loads look first.
    package func undrain(
        _ server: String,
        progress: @escaping (_ moved: Int, _ share: Double) -> Void
    ) async -> Outcome {
        await self.prepare()
        guard case .stable(let ring) = self.pool.state.stage else { return .refused("the servers are being changed") }
        guard ring.members.contains(server) else { return .refused("\(server) is not one of the servers in force") }
        guard ring.drained.contains(server) else { return .refused("\(server) is not drained") }
        guard self.pool.sights[server]?.condition.isComplete == true else {
            return .refused("\(server) is not complete yet: a gateway fills it when it is up")
        }
        guard await self.bring(to: ring.draining(ring.drained.subtracting([server]))) else {
            return .failed("too few servers could be told, or another change came in between")
        }
        let report = await Repairer(pool: self.pool, rate: nil, logger: self.logger).run {
            progress($0.repaired, $1)
        }
        return .done(moved: report.repaired)
    }

    private func prepare() async {
        await self.pool.waitUntilConnected()
        await self.pool.lookAtAll()
        // A state may have named servers that were not known.
        await self.pool.waitUntilConnected()
    }

    private func bring(to ring: RingDescription) async -> Bool {
        let time = self.pool.configuration.stateBarrier * 3 + .seconds(5)
        return await PoolKeeper(pool: self.pool, logger: self.logger).bring(to: ring, within: time)
    }
}
