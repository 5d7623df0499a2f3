package import Logging
import Memcached
import NIOCore
import Sessions

/// Fills servers that have forgotten: watches one site's servers from one event loop, and walks for those without the
/// marker.
///
/// The steps are those of the replication protocol: the marker is absent on a connection; wait until no operation that
/// still counted on the server's former life can be acknowledged; list the keys of the complete servers; have every
/// key that belongs there chosen anew; add the marker on the same connection. A connection that changes meanwhile
/// begins again. One gateway walks at a time, by a lease on the server itself, which saves work and nothing else.
package struct Walker: Sendable {
    private let pool: ReplicaPool
    private let logger: Logger
    private let configuration: StoreConfiguration

    /// Keys chosen anew at once.
    private static let concurrentKeys = 32
    /// Keys remembered so that the copies of one session are not chosen anew one by one; beyond it they are.
    private static let maximumRememberedKeys = 4_000_000
    /// After so many walks on one connection that met a session which could not be chosen anew (its copies do not
    /// decode), the next one leaves such sessions as they are: the others need the server.
    private static let maximumStrictWalks = 3
    private static let leaseDuration = MemcachedExpiry.seconds(10)
    private static let pause: Duration = .milliseconds(250)

    package init(pool: ReplicaPool, logger: Logger) {
        self.pool = pool
        self.logger = logger
        self.configuration = pool.configuration
    }

    /// Until the task is cancelled. Runs on the pool's event loop.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for index in self.pool.servers.indices {
                group.addTask { await self.watch(index) }
            }
        }
    }

    private func watch(_ index: Int) async {
        let server = self.pool.servers[index]
        var attempt = (connection: ConnectionNumber?.none, count: 0)
        while !Task.isCancelled {
            if let connection = server.incompleteConnection {
                attempt = (connection, attempt.connection == connection ? attempt.count + 1 : 1)
                await self.complete(index, on: connection, leavesNothing: attempt.count < Self.maximumStrictWalks)
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// One attempt; returns when it succeeded, failed or was overtaken.
    /// - Parameter leavesNothing: whether one session that cannot be chosen anew fails the attempt.
    private func complete(_ index: Int, on connection: ConnectionNumber, leavesNothing: Bool) async {
        let server = self.pool.servers[index]
        // What was under way on the server's former life is over after this.
        try? await Task.sleep(for: StoreConfiguration.longestOperation + self.configuration.memcached.operationTimeout)
        while !Task.isCancelled, server.incompleteConnection == connection {
            switch WalkPlan(for: index, conditions: self.conditions, redundancy: self.configuration.redundancy) {
            case .wait:
                try? await Task.sleep(for: Self.pause)
            case .acceptLoss:
                self.logger.warning(
                    "a server is taken as it is: the pool is new, or more servers than copies have lost their memory",
                    metadata: ["server": "\(server.address)"]
                )
                await self.mark(index, on: connection)
                return
            case .walk(let sources):
                guard await self.takeLease(index, on: connection) else {
                    try? await Task.sleep(for: Self.pause)
                    continue
                }
                if await self.walk(index, from: sources, on: connection, leavesNothing: leavesNothing) {
                    await self.mark(index, on: connection)
                }
                return
            }
        }
    }

    private var conditions: [WalkPlan.Condition] {
        self.pool.servers.map { server in
            if !server.isAvailable {
                .down
            } else if server.incompleteConnection == nil {
                .complete
            } else {
                .incomplete
            }
        }
    }

    private func walk(
        _ index: Int,
        from sources: [Int],
        on connection: ConnectionNumber,
        leavesNothing: Bool
    ) async -> Bool {
        let server = self.pool.servers[index]
        var remembered = Set<UInt64>()
        var count = 0
        var left = 0
        self.logger.notice("walking for a server that has forgotten", metadata: ["server": "\(server.address)"])
        for source in sources {
            let address = self.pool.servers[source].address
            do {
                try await MemcachedKeyDump(address: address, eventLoop: self.pool.eventLoop)
                    .forEachBatch(withPrefix: self.configuration.keyspace.bytes) { batch in
                        let keys = batch.compactMap { self.key($0, of: index, unless: &remembered) }
                        count += keys.count
                        left += await self.chooseAnew(keys)
                        guard left == 0 || !leavesNothing, server.incompleteConnection == connection else {
                            throw Interrupted()
                        }
                    }
            } catch is Interrupted {
                self.logger.warning(
                    "the walk was interrupted and begins again",
                    metadata: ["server": "\(server.address)"]
                )
                return false
            } catch {
                self.logger.warning(
                    "a server's keys could not be listed, the walk begins again",
                    metadata: ["server": "\(address)", "error": "\(error)"]
                )
                return false
            }
        }
        self.logger.notice(
            "walked: the server is complete again",
            metadata: ["server": "\(server.address)", "sessions": "\(count)", "left": "\(left)"]
        )
        return true
    }

    private struct Interrupted: Error {}

    /// The session of an item, if it may belong on that server and its turn has not been yet.
    private func key(_ item: MemcachedKey, of index: Int, unless remembered: inout Set<UInt64>) -> SessionKey? {
        guard
            let key = self.configuration.keyspace.key(ofItem: item.bytes),
            self.pool.placement.replicas(of: key).servers.contains(index)
        else { return nil }
        if remembered.count < Self.maximumRememberedKeys, !remembered.insert(key.hash).inserted { return nil }
        return key
    }

    /// - Returns: how many could not be chosen anew.
    private func chooseAnew(_ keys: [SessionKey]) async -> Int {
        await withTaskGroup(of: Bool.self) { group in
            var left = 0
            var running = 0
            for key in keys {
                if running == Self.concurrentKeys, let succeeded = await group.next() {
                    running -= 1
                    left += succeeded ? 0 : 1
                }
                group.addTask { await self.chooseAnew(key) }
                running += 1
            }
            for await succeeded in group {
                left += succeeded ? 0 : 1
            }
            return left
        }
    }

    /// - Returns: whether the session was chosen anew, or is none any more.
    private func chooseAnew(_ key: SessionKey) async -> Bool {
        for attempt in 1...3 {
            switch await self.pool.perform(.keep, key: key, timeout: StoreConfiguration.longestOperation) {
            case .chosen, .none, .destroyed:
                return true
            case .discarded, .unknown, .unavailable, .degraded:
                try? await Task.sleep(for: .milliseconds(50 * attempt))
            }
        }
        return false
    }

    // MARK: Marker and lease

    private func mark(_ index: Int, on connection: ConnectionNumber) async {
        let server = self.pool.servers[index]
        guard let marker = MemcachedKey(self.configuration.markerKey) else { return }
        let value = MemcachedValue(head: ByteBuffer(string: "complete"))
        let reply = await self.send(.add(marker, value, .never), to: server, on: connection)
        switch reply {
        case .stored, .notStored:
            server.markedComplete(on: connection)
        default:
            break
        }
    }

    private func takeLease(_ index: Int, on connection: ConnectionNumber) async -> Bool {
        guard let lease = MemcachedKey(self.configuration.leaseKey) else { return false }
        let value = MemcachedValue(head: ByteBuffer(string: "walking"))
        let reply = await self.send(
            .add(lease, value, Self.leaseDuration),
            to: self.pool.servers[index],
            on: connection
        )
        guard case .stored = reply else { return false }
        return true
    }

    private func send(
        _ command: MemcachedCommand,
        to server: ReplicaServer,
        on connection: ConnectionNumber
    ) async -> MemcachedReply? {
        await withUnsafeContinuation { continuation in
            server.client.send(command, only: connection) { result, _ in
                continuation.resume(returning: try? result.get())
            }
        }
    }
}
