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

    /// Keys chosen anew at once.
    private static let concurrentKeys = 32
    /// Keys remembered so that the copies of one session are not chosen anew one by one; beyond it they are.
    private static let maximumRememberedKeys = 4_000_000
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
        while !Task.isCancelled {
            if let connection = server.incompleteConnection {
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
            redundancy: self.configuration.redundancy
        )
        var remembered = Set<UInt64>()
        var step = attempt.start()
        while !Task.isCancelled {
            switch step {
            case .settle:
                try? await Task.sleep(
                    for: StoreConfiguration.longestOperation + self.configuration.memcached.operationTimeout
                )
                step = attempt.waited(self.pool.conditions)
            case .pause:
                try? await Task.sleep(for: Self.pause)
                step = attempt.waited(self.pool.conditions)
            case .takeLease:
                let isTaken = await self.takeLease(index, on: connection)
                step = attempt.leaseAnswered(isTaken: isTaken, self.pool.conditions)
            case .list(let source):
                let result = await self.walk(
                    index,
                    from: source,
                    on: connection,
                    unless: &remembered
                )
                step = attempt.listed(isDone: result.isDone, lost: result.lost, self.pool.conditions)
            case .confirm(let source, let connection):
                let isAlive = await self.marker(of: source, on: connection) != nil
                step = attempt.confirmed(isAlive: isAlive, self.pool.conditions)
            case .confirmForgetting(let other, let connection):
                let isConfirmed = await self.marker(of: other, on: connection) == false
                step = attempt.forgetting(isConfirmed: isConfirmed, self.pool.conditions)
            case .mark:
                if attempt.acceptsLoss {
                    self.logger.warning(
                        "a server is marked complete with what is left: the pool is new, or too many have lost their memory",
                        metadata: ["server": "\(server.address)"]
                    )
                }
                step = attempt.marked(isThere: await self.mark(index, on: connection))
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

    /// - Returns: whether all of one source's keys were listed and chosen anew where they belong on the server, and how
    ///   many of them never can be.
    private func walk(
        _ index: Int,
        from source: Int,
        on connection: ConnectionNumber,
        unless remembered: inout Set<UInt64>
    ) async -> (isDone: Bool, lost: Int) {
        let server = self.pool.servers[index]
        var count = 0
        var lost = 0
        let address = self.pool.servers[source].address
        do {
            try await MemcachedKeyDump(address: address, eventLoop: self.pool.eventLoop)
                .forEachBatch(withPrefix: self.configuration.keyspace.bytes) { batch in
                    let keys = batch.compactMap { self.key($0, of: index, unless: &remembered) }
                    count += keys.count
                    let result = await self.chooseAnew(keys)
                    lost += result.beyondRepair
                    guard result.left == 0, server.incompleteConnection == connection else { throw Interrupted() }
                }
        } catch is Interrupted {
            return (false, lost)
        } catch {
            self.logger.warning(
                "a server's keys could not be listed",
                metadata: ["server": "\(address)", "error": "\(error)"]
            )
            return (false, lost)
        }
        self.logger.notice(
            "walked for a server that has forgotten",
            metadata: [
                "server": "\(server.address)", "source": "\(address)", "sessions": "\(count)", "lost": "\(lost)",
            ]
        )
        return (true, lost)
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

    private enum Repair {
        /// Chosen anew, or none any more.
        case done
        case beyondRepair
        case left
    }

    /// - Returns: how many could not be chosen anew, and how many never can.
    private func chooseAnew(_ keys: [SessionKey]) async -> (left: Int, beyondRepair: Int) {
        await withTaskGroup(of: Repair.self) { group in
            var counts = (left: 0, beyondRepair: 0)
            func note(_ repair: Repair) {
                switch repair {
                case .done: break
                case .beyondRepair: counts.beyondRepair += 1
                case .left: counts.left += 1
                }
            }
            var running = 0
            for key in keys {
                if running == Self.concurrentKeys, let repair = await group.next() {
                    running -= 1
                    note(repair)
                }
                group.addTask { await self.chooseAnew(key) }
                running += 1
            }
            for await repair in group {
                note(repair)
            }
            return counts
        }
    }

    private func chooseAnew(_ key: SessionKey) async -> Repair {
        for attempt in 1...3 {
            switch await self.pool.perform(.keep, key: key, timeout: StoreConfiguration.longestOperation) {
            case .chosen, .none, .destroyed:
                return .done
            case .beyondRepair:
                return .beyondRepair
            case .discarded, .unknown, .unavailable, .degraded:
                try? await Task.sleep(for: .milliseconds(50 * attempt))
            }
        }
        return .left
    }

    // MARK: Marker and lease

    private func mark(_ index: Int, on connection: ConnectionNumber) async -> Bool {
        let server = self.pool.servers[index]
        guard let marker = MemcachedKey(self.configuration.markerKey) else { return false }
        let value = MemcachedValue(head: ByteBuffer(string: "complete"))
        switch await self.send(.add(marker, value, .never), to: server, on: connection) {
        case .stored, .notStored:
            server.markedComplete(on: connection)
            return true
        default:
            return false
        }
    }

    /// - Returns: whether it is there; nil where the server does not say so on this connection.
    private func marker(of index: Int, on connection: ConnectionIdentity) async -> Bool? {
        guard let marker = MemcachedKey(self.configuration.markerKey) else { return nil }
        let connection = ConnectionNumber(rawValue: connection.number)
        switch await self.send(.get(marker, touch: nil), to: self.pool.servers[index], on: connection) {
        case .hit: return true
        case .miss: return false
        default: return nil
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
