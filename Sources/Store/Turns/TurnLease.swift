import Memcached
import NIOCore
package import Sessions

/// That one gateway works on a session and the others wait: an item beside the session, which goes by itself some seconds
/// after its gateway has died. Its value, random, names its owner. Kept for as long as it is held.
///
/// `@unchecked Sendable`: touched on the pool's event loop only.
package final class TurnLease: @unchecked Sendable {
    private let server: ReplicaServer
    private let eventLoop: any EventLoop
    private let key: MemcachedKey
    private let owner: ByteBuffer
    /// Of the item, good on that connection.
    private var token: (value: UInt64, connection: ConnectionNumber)
    private var keeping = TurnLeaseKeeping()
    private var pause: Scheduled<Void>?
    private var isReleased = false

    static let duration: MemcachedExpiry = .seconds(10)

    fileprivate init(
        server: ReplicaServer,
        eventLoop: any EventLoop,
        key: MemcachedKey,
        owner: ByteBuffer,
        token: (value: UInt64, connection: ConnectionNumber)
    ) {
        self.server = server
        self.eventLoop = eventLoop
        self.key = key
        self.owner = owner
        self.token = token
        self.perform(self.keeping.start())
    }

    /// The next one may go on. At once; without effect after the first time.
    package func release() {
        self.eventLoop.assertInEventLoop()
        guard !self.isReleased else { return }
        self.isReleased = true
        self.pause?.cancel()
        self.delete { isDone in
            // Its connection is gone, or its token has changed on the way: what is there may be ours all the same.
            if !isDone { self.look { if case .found(isOwn: true) = $0 { self.delete { _ in } } } }
        }
    }

    private func perform(_ step: TurnLeaseKeeping.Step) {
        switch step {
        case .pause(let duration):
            self.pause = self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(duration)) {
                self.perform(self.keeping.paused())
            }
        case .renew:
            self.store(
                .compareAndSet(self.key, MemcachedValue(head: self.owner), token: self.token.value, Self.duration),
                only: self.token.connection
            )
        case .look:
            self.look { self.answered($0) }
        case .add:
            self.store(.add(self.key, MemcachedValue(head: self.owner), Self.duration), only: nil)
        case .end:
            break
        }
    }

    private func answered(_ answer: TurnLeaseKeeping.Answer) {
        guard !self.isReleased else {
            // What was on its way then has made a new item of it.
            if answer == .stored { self.delete { _ in } }
            return
        }
        self.perform(self.keeping.answered(answer))
    }

    private func store(_ command: MemcachedCommand, only connection: ConnectionNumber?) {
        self.server.client.send(command, only: connection) { result, connection in
            guard case .success(let reply) = result, let connection else { return self.answered(.failed) }
            guard case .stored(let token) = reply else { return self.answered(.refused) }
            self.token = (token, connection)
            self.answered(.stored)
        }
    }

    private func look(_ then: @escaping (TurnLeaseKeeping.Answer) -> Void) {
        self.server.client.send(.get(self.key, touch: nil), only: nil) { result, connection in
            switch result {
            case .success(.hit(let owner, let token, _)):
                guard owner == self.owner, let connection else { return then(.found(isOwn: false)) }
                self.token = (token, connection)
                then(.found(isOwn: true))
            case .success(.miss): then(.absent)
            case .success, .failure: then(.failed)
            }
        }
    }

    /// Only this very item: another gateway's, after this one was late, stays.
    private func delete(_ then: @escaping (Bool) -> Void) {
        let command = MemcachedCommand.delete(self.key, token: self.token.value)
        self.server.client.send(command, only: self.token.connection) { result, _ in
            if case .success(.deleted) = result { then(true) } else { then(false) }
        }
    }
}

package enum TurnLeaseOutcome: Sendable {
    case held(TurnLease)
    /// Nobody can be asked, and nobody told: the request goes on.
    case unprotected
    case timedOut
}

extension SessionStore {
    /// Waits until no other gateway works on the session.
    package func takeTurn(_ key: SessionKey, timeout: Duration) async -> TurnLeaseOutcome {
        guard let item = MemcachedKey(self.pool.configuration.keyspace.turnKey(of: key)) else { return .unprotected }
        let servers = self.pool.placement.replicas(of: key).servers
        let start = ContinuousClock.now
        let owner = ByteBuffer(string: "\(self.pool.nextRandom())-\(self.pool.nextRandom())")
        var attempt = TurnLeaseAttempt(serverCount: servers.count, timeout: timeout)
        var lease: TurnLease?
        var step = attempt.start()
        while true {
            switch step {
            case .add(let position):
                let (answer, taken) = await self.addTurn(item, of: owner, on: servers[position])
                lease = taken
                step = attempt.answered(answer, elapsed: .now - start, random: self.pool.nextRandom())
            case .pause(let duration):
                try? await Task.sleep(for: duration)
                if Task.isCancelled { return .timedOut }
                step = attempt.paused()
            case .finish(.held):
                return lease.map { .held($0) } ?? .unprotected
            case .finish(.unprotected):
                return .unprotected
            case .finish(.timedOut):
                return .timedOut
            }
        }
    }

    private func addTurn(
        _ item: MemcachedKey,
        of owner: ByteBuffer,
        on index: Int
    ) async -> (TurnLeaseAttempt.Answer, TurnLease?) {
        let server = self.pool.servers[index]
        guard server.isAvailable, let connection = server.client.connection else { return (.failed, nil) }
        let add = MemcachedCommand.add(item, MemcachedValue(head: owner), TurnLease.duration)
        let token: UInt64
        switch await self.pool.send(add, to: index, on: connection) {
        case .stored(let stored):
            token = stored
        case .notStored:
            // One that timed out before may have come to its server nevertheless.
            guard case .hit(owner, let own, _) = await self.pool.send(.get(item, touch: nil), to: index, on: connection)
            else { return (.taken, nil) }
            token = own
        default:
            return (.failed, nil)
        }
        let lease = TurnLease(
            server: server,
            eventLoop: self.pool.eventLoop,
            key: item,
            owner: owner,
            token: (token, connection)
        )
        return (.added, lease)
    }
}

extension SessionKeyspace {
    /// Of the item by which one gateway at a time works on a session: the session's key, with another separator.
    fileprivate func turnKey(of key: SessionKey) -> [UInt8] {
        var bytes = key.bytes
        bytes[self.bytes.count - 1] = UInt8(ascii: "!")
        return bytes
    }
}
