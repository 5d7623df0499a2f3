import Logging
import Memcached
import NIOCore
import Sessions

/// Executes a `RingMove`: brings every session to the servers of the new ring. On the pool's event loop.
final class SessionMover {
    private let pool: ReplicaPool
    private let state: PoolState<RingDescription>
    private let logger: Logger
    private let pipeline: KeyPipeline
    /// Keys remembered so that the copies of one session are not moved one by one; beyond it they are.
    private static let maximumRememberedKeys = 4_000_000
    private var remembered = Set<UInt64>()
    private var failures = 0
    private(set) var moved = 0
    private(set) var lost = 0

    init(pool: ReplicaPool, state: PoolState<RingDescription>, logger: Logger) {
        self.pool = pool
        self.state = state
        self.logger = logger
        self.pipeline = KeyPipeline(pool: pool)
    }

    /// - Parameter keepOn: asked now and then whether to go on.
    /// - Returns: whether all were moved.
    func run(_ move: RingMove<RingDescription>, keepOn: () async -> Bool) async -> Bool {
        var move = move
        while !Task.isCancelled {
            switch move.next {
            case .list(let source):
                let isListed = await self.list(source, keepOn: keepOn)
                _ = move.listed(isDone: isListed && self.failures == 0 && self.pool.state == self.state)
            case .confirm(let server, let connection):
                _ = move.confirmed(isThere: await self.confirm(server, on: connection))
            case .mark(let server, let connection):
                let number = ConnectionNumber(rawValue: connection.number)
                let isMarked = await self.pool.numbers[server].asyncMap { await self.pool.mark($0, on: number) }
                _ = move.confirmed(isThere: isMarked ?? false)
            case .finish(let isDone):
                return isDone
            }
        }
        return false
    }

    private struct Interrupted: Error {}

    private func list(_ source: String, keepOn: () async -> Bool) async -> Bool {
        guard let number = self.pool.numbers[source] else { return false }
        let address = self.pool.servers[number].address
        let keyspace = self.pool.configuration.keyspace
        do {
            try await MemcachedKeyDump(address: address, eventLoop: self.pool.eventLoop)
                .forEachBatch(withPrefix: keyspace.bytes) { batch, _ in
                    let keys = batch.compactMap { keyspace.key(ofItem: $0.bytes) }.filter { self.isDue($0) }
                    await self.pipeline.run(keys) { key, done in self.move(key, done) }
                    guard self.failures == 0, self.pool.state == self.state, await keepOn() else {
                        throw Interrupted()
                    }
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

    /// Whether the session's servers change, and its turn has not been yet.
    private func isDue(_ key: SessionKey) -> Bool {
        guard self.pool.placement.replicas(of: key).set.isJoint else { return false }
        return self.remembered.count >= Self.maximumRememberedKeys || self.remembered.insert(key.hash).inserted
    }

    private func move(_ key: SessionKey, _ done: @escaping () -> Void) {
        self.pool.chooseAnew(key) { outcome in
            switch outcome {
            case .beyondRepair: self.lost += 1
            case .chosen, .none, .destroyed: self.moved += 1
            case .discarded, .unknown, .unavailable, .degraded: self.failures += 1
            }
            done()
        }
    }

    private func confirm(_ server: String, on connection: ConnectionIdentity) async -> Bool {
        await self.pool.numbers[server].asyncMap { await self.pool.hasMarker($0, on: connection) } == true
    }
}

extension Optional {
    fileprivate func asyncMap<Result>(_ transform: (Wrapped) async -> Result) async -> Result? {
        guard let value = self else { return nil }
        return await transform(value)
    }
}
