package import Logging
package import Memcached
package import NIOCore
package import Sessions

/// Sessions of PHP's memcache extension or of php-memcached, as one event loop sees their servers.
///
/// All copies of a session are asked at once, and the first in PHP's order that has it counts. Where none has it and one
/// does not answer, nobody can tell. A server that is down is not asked.
///
/// `@unchecked Sendable`: bound to its event loop, which the servers assert.
package final class MemcachedSource: SessionSource, @unchecked Sendable {
    package enum Handler: Sendable {
        /// PHP's memcache extension.
        case memcache
        /// php-memcached.
        case memcached
    }

    package struct Configuration: Sendable {
        let handler: Handler
        let addresses: [MemcachedAddress]
        let dataLayout: RingLayout
        let lockLayout: RingLayout
        let prefix: String
        let maximumSize: Int
        let timeout: Duration

        /// - Parameter redundancy: copies of a session, all counted.
        /// - Returns: nil where the handler has no such ring.
        package init?(
            handler: Handler,
            servers: [(address: MemcachedAddress, ringServer: RingServer)],
            ring: RingKind,
            redundancy: Int,
            prefix: String,
            maximumSize: Int,
            timeout: Duration
        ) {
            let ring = Ring(kind: ring, servers: servers.map(\.ringServer))
            let placement: RingPlacement = handler == .memcache ? .memcacheSession : .phpMemcached
            // php-memcached locks on one server, whatever the copies.
            let lockCopies = handler == .memcache ? redundancy : 1
            guard let dataLayout = RingLayout(ring: ring, placement: placement, count: redundancy),
                let lockLayout = RingLayout(ring: ring, placement: placement, count: lockCopies)
            else { return nil }
            self.handler = handler
            self.addresses = servers.map(\.address)
            self.dataLayout = dataLayout
            self.lockLayout = lockLayout
            self.prefix = prefix
            self.maximumSize = maximumSize
            self.timeout = timeout
        }
    }

    private let configuration: Configuration
    private let servers: [MemcachedServer]

    package init(
        _ configuration: Configuration,
        eventLoop: any EventLoop,
        logger: Logger,
        transitions: ServerTransitionLog = ServerTransitionLog()
    ) {
        var client = MemcachedConfiguration()
        client.isReadOnly = true
        client.connectTimeout = configuration.timeout
        client.operationTimeout = configuration.timeout
        self.configuration = configuration
        self.servers = configuration.addresses.map { address in
            MemcachedServer(
                address: address,
                eventLoop: eventLoop,
                configuration: client,
                logger: logger,
                transitions: transitions
            )
        }
    }

    package func start() {
        for server in self.servers { server.start() }
    }

    package var isReady: Bool { self.servers.allSatisfy(\.isAvailable) }

    package func close(on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        EventLoopFuture.andAllComplete(self.servers.map { $0.close() }, on: eventLoop)
    }

    package func look(for id: SessionID, on eventLoop: any EventLoop) async -> SourceFinding {
        let keys: SourceKeys?
        switch self.configuration.handler {
        case .memcache: keys = .memcache(id, prefix: self.configuration.prefix)
        case .memcached: keys = .memcached(id, prefix: self.configuration.prefix)
        }
        guard let keys else { return .none }
        let locks = Array(self.configuration.lockLayout.servers(of: keys.lockPlace))
        let copies = Array(self.configuration.dataLayout.servers(of: keys.dataPlace))
        // The locks leave first: a request that is over when its lock is looked at has written before the copies are.
        let answers = await self.fetch(locks.map { ($0, keys.lock) } + copies.map { ($0, keys.data) })
        return self.finding(locks: answers.prefix(locks.count), copies: answers.dropFirst(locks.count))
    }

    private func finding(locks: ArraySlice<Answer>, copies: ArraySlice<Answer>) -> SourceFinding {
        var isSilent = false
        for answer in locks {
            switch answer {
            case .item(let value, _):
                if self.configuration.handler == .memcached || StoredValue.isHeld(memcacheLock: value) {
                    return .locked
                }
            case .none: break
            case .silent: isSilent = self.configuration.handler == .memcached || isSilent
            }
        }
        // Who cannot see the one lock there is does not know whether the session is being written.
        if isSilent { return Self.unavailable }
        for answer in copies {
            switch answer {
            case .item(let value, let flags):
                return self.decoded(value, flags)
            case .none: break
            case .silent: isSilent = true
            }
        }
        return isSilent ? Self.unavailable : .none
    }

    private static var unavailable: SourceFinding { .unavailable("a memcached of the old store does not answer") }

    private func decoded(_ value: ByteBuffer, _ flags: UInt32) -> SourceFinding {
        switch self.configuration.handler {
        case .memcache: StoredValue.memcache(value, flags: flags, limit: self.configuration.maximumSize)
        case .memcached: StoredValue.memcached(value, flags: flags, limit: self.configuration.maximumSize)
        }
    }

    // MARK: Asking

    private enum Answer: Sendable {
        case item(ByteBuffer, flags: UInt32)
        case none
        case silent

        init(_ result: Result<MemcachedReply, MemcachedError>) {
            switch result {
            // It becomes a session's payload.
            case .success(.fetched(let value, let flags)): self = .item(value.detached, flags: flags)
            case .success(.miss): self = .none
            case .success, .failure: self = .silent
            }
        }
    }

    /// All at once.
    private func fetch(_ items: [(server: Int, key: MemcachedKey)]) async -> [Answer] {
        guard !items.isEmpty else { return [] }
        return await withUnsafeContinuation { continuation in
            let gathering = Gathering(count: items.count) { continuation.resume(returning: $0) }
            for (index, item) in items.enumerated() {
                self.servers[item.server].send(.fetch(item.key)) { result, _ in
                    gathering.answered(index, Answer(result))
                }
            }
        }
    }

    /// On the event loop.
    private final class Gathering {
        private var answers: [Answer]
        private var missing: Int
        private let completion: ([Answer]) -> Void

        init(count: Int, _ completion: @escaping ([Answer]) -> Void) {
            self.answers = Array(repeating: .silent, count: count)
            self.missing = count
            self.completion = completion
        }

        func answered(_ index: Int, _ answer: Answer) {
            self.answers[index] = answer
            self.missing -= 1
            if self.missing == 0 { self.completion(self.answers) }
        }
    }
}
