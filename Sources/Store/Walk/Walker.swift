package import Logging
import Memcached
import NIOCore
import Sessions

/// Fills servers that have forgotten: watches one site's servers from one event loop, and walks for those without the
/// marker. Executes `WalkAttempt`, which has the steps and their reasons.
package struct Walker: Sendable {
    private let pool: ReplicaPool
    private let logger: Logger
    private let configuration: StoreConfiguration

    /// The most keys between two looks at whether the walk is still for the same life of the server.
    private static let batchSize = 4_096
    private static let logInterval: Duration = .seconds(10)
    private static let pause: Duration = .milliseconds(250)

    package init(pool: ReplicaPool, logger: Logger) {
        self.pool = pool
        self.logger = logger
        self.configuration = pool.configuration
    }

    /// Until the task is cancelled. Runs on the pool's event loop.
    package func run() async {
        await withDiscardingTaskGroup { group in
            var watched = 0
            while !Task.isCancelled {
                // A change of the ring brings new ones.
                while watched < self.pool.servers.count {
                    let index = watched
                    group.addTask { await self.watch(index) }
                    watched += 1
                }
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    private func watch(_ index: Int) async {
        let server = self.pool.servers[index]
        while !Task.isCancelled, !server.isClosed {
            // What is in no ring yet, or no more, is not walked for.
            if let connection = server.incompleteConnection, self.pool.conditions[index] != .outside {
                await self.complete(index, on: connection)
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// One attempt; returns when it succeeded, failed or was overtaken.
    private func complete(_ index: Int, on connection: ConnectionNumber) async {
        let server = self.pool.servers[index]
        var attempt = WalkAttempt(
            for: index,
            on: ConnectionIdentity(number: connection.rawValue),
            redundancy: self.pool.walkedRedundancy
        )
        let lease = WalkLease(pool: self.pool, server: index, on: connection)
        let walk = Walk(server: index, connection: connection)
        var step = attempt.start()
        while !Task.isCancelled {
            switch step {
            case .settle:
                try? await Task.sleep(
                    for: self.pool.configuration.longestOperation + self.configuration.memcached.operationTimeout
                )
                step = attempt.waited(self.pool.conditions)
            case .pause:
                try? await Task.sleep(for: Self.pause)
                step = attempt.waited(self.pool.conditions)
            case .takeLease:
                let isTaken = await lease.take()
                step = attempt.leaseAnswered(isTaken: isTaken, self.pool.conditions)
            case .list(let source):
                let result = await self.walk(walk, from: source, under: lease)
                step = attempt.listed(isDone: result.isDone, lost: result.lost, self.pool.conditions)
            case .confirm(let source, let connection):
                let isAlive = await self.pool.hasMarker(source, on: connection) != nil
                step = attempt.confirmed(isAlive: isAlive, self.pool.conditions)
            case .confirmForgetting(let other, let connection):
                let isConfirmed = await self.pool.hasMarker(other, on: connection) == false
                step = attempt.forgetting(isConfirmed: isConfirmed, self.pool.conditions)
            case .mark:
                if attempt.acceptsLoss {
                    self.logger.warning(
                        "a server is marked complete with what is left: the pool is new, or too many have lost their memory",
                        metadata: ["server": "\(server.address)"]
                    )
                }
                step = attempt.marked(isThere: await self.pool.mark(index, on: connection))
            case .finish(let result):
                self.log(result, of: server)
                return
            }
        }
    }

    private func log(_ result: WalkAttempt.Result, of server: ReplicaServer) {
        switch result {
        case .complete:
            self.logger.notice("the server is complete", metadata: ["server": "\(server.address)"])
        case .interrupted:
            self.logger.warning(
                "the walk was interrupted and begins again",
                metadata: ["server": "\(server.address)"]
            )
        case .overtaken:
            break
        }
    }

    /// A walk for one server, over one source after the other.
    ///
    /// `@unchecked Sendable`: touched on the pool's event loop only.
    private final class Walk: @unchecked Sendable {
        let server: Int
        let connection: ConnectionNumber
        var progress = WalkProgress()
        /// Sources that are done.
        var sources = 0
        /// So that a session is not chosen anew once for each of its copies; beyond the limit it is.
        private var known = Set<UInt64>()
        private static let maximumKnown = 4_000_000

        init(server: Int, connection: ConnectionNumber) {
            self.server = server
            self.connection = connection
        }

        /// - Returns: whether it is the first time.
        func insert(_ key: SessionKey) -> Bool {
            self.known.count >= Self.maximumKnown || self.known.insert(key.hash).inserted
        }
    }

    /// - Returns: whether all of one source's keys were listed and chosen anew where they belong on the server, and how
    ///   many of them never can be.
    private func walk(_ walk: Walk, from source: Int, under lease: WalkLease) async -> (isDone: Bool, lost: Int) {
        let before = walk.progress
        let isDone = await withTaskGroup(of: Bool?.self) { group in
            group.addTask {
                await self.renew(lease, walk, source)
                return nil
            }
            group.addTask { await self.chooseAnew(walk, from: source, under: lease) }
            defer { group.cancelAll() }
            for await case let isDone? in group { return isDone }
            return false
        }
        walk.sources += 1
        walk.progress.sources = Double(walk.sources)
        await lease.renew(walk.progress)
        let lost = walk.progress.lost - before.lost
        if isDone { self.log("walked for a server that has forgotten", walk, source) }
        return (isDone, lost)
    }

    /// Until the task is cancelled.
    private func renew(_ lease: WalkLease, _ walk: Walk, _ source: Int) async {
        var logged = ContinuousClock.now
        while true {
            await lease.renew(walk.progress)
            if .now - logged >= Self.logInterval {
                logged = .now
                self.log("walking for a server that has forgotten", walk, source)
            }
            do { try await Task.sleep(for: WalkLease.interval) } catch { return }
        }
    }

    private func log(_ message: Logger.Message, _ walk: Walk, _ source: Int) {
        self.logger.notice(
            message,
            metadata: [
                "server": "\(self.pool.servers[walk.server].address)",
                "source": "\(self.pool.servers[source].address)",
                "progress": "\(walk.progress.text)",
            ]
        )
    }

    private struct Interrupted: Error {}

    /// - Returns: whether nothing of the source is left.
    private func chooseAnew(_ walk: Walk, from source: Int, under lease: WalkLease) async -> Bool {
        let server = self.pool.servers[walk.server]
        let address = self.pool.servers[source].address
        let pipeline = KeyPipeline(pool: self.pool)
        var configuration = MemcachedKeyDump.Configuration()
        configuration.batchSize = Self.batchSize
        do {
            try await MemcachedKeyDump(address: address, eventLoop: self.pool.eventLoop, configuration: configuration)
                .forEachBatch(withPrefix: self.configuration.keyspace.bytes) { batch, share in
                    let keys = batch.compactMap { self.key($0, for: walk) }
                    let left = await self.chooseAnew(keys, walk, pipeline)
                    guard left == 0, !Task.isCancelled, lease.isHeld,
                        server.incompleteConnection == walk.connection
                    else { throw Interrupted() }
                    walk.progress.sources = Double(walk.sources) + share
                }
            return true
        } catch is Interrupted {
            return false
        } catch {
            self.logger.warning(
                "a server's keys could not be listed",
                metadata: ["server": "\(address)", "error": "\(error)"]
            )
            return false
        }
    }

    /// The session of an item, if it may belong on that server and its turn has not been yet.
    private func key(_ item: MemcachedKey, for walk: Walk) -> SessionKey? {
        guard
            let key = self.configuration.keyspace.key(ofItem: item.bytes),
            self.pool.placement.replicas(of: key).servers.contains(walk.server),
            walk.insert(key)
        else { return nil }
        return key
    }

    /// - Returns: how many could not be chosen anew.
    private func chooseAnew(_ keys: [SessionKey], _ walk: Walk, _ pipeline: KeyPipeline) async -> Int {
        let count = Count()
        await pipeline.run(keys) { key, done in
            self.pool.chooseAnew(key) { outcome in
                switch outcome {
                case .chosen, .none, .destroyed: break
                case .beyondRepair: walk.progress.lost += 1
                case .discarded, .unknown, .unavailable, .degraded: count.left += 1
                }
                walk.progress.sessions += 1
                done()
            }
        }
        return count.left
    }

    private final class Count {
        var left = 0
    }
}
