import Memcached
import NIOCore
package import Sessions

/// That one gateway works on a session and the others wait: an item beside the session, which goes by itself some seconds
/// after its gateway has died. Renewed for as long as it is held.
///
/// `@unchecked Sendable`: touched on the pool's event loop only.
package final class TurnLease: @unchecked Sendable {
    private let server: ReplicaServer
    private let eventLoop: any EventLoop
    private let key: MemcachedKey
    private let connection: ConnectionNumber
    private var token: UInt64
    private var renewal: Scheduled<Void>?
    private var isReleased = false

    static let duration: MemcachedExpiry = .seconds(10)
    private static let interval: TimeAmount = .seconds(3)

    fileprivate init(
        server: ReplicaServer,
        eventLoop: any EventLoop,
        key: MemcachedKey,
        connection: ConnectionNumber,
        token: UInt64
    ) {
        self.server = server
        self.eventLoop = eventLoop
        self.key = key
        self.connection = connection
        self.token = token
        self.scheduleRenewal()
    }

    /// The next one may go on. At once; without effect after the first time.
    package func release() {
        self.eventLoop.assertInEventLoop()
        guard !self.isReleased else { return }
        self.isReleased = true
        self.renewal?.cancel()
        // Only this very item; another gateway's, after this one was late, stays.
        self.server.client.send(.delete(self.key, token: self.token), only: self.connection) { _, _ in }
    }

    private func scheduleRenewal() {
        self.renewal = self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.interval) {
            self.renew()
        }
    }

    private func renew() {
        guard !self.isReleased else { return }
        let command = MemcachedCommand.compareAndSet(self.key, Self.value, token: self.token, Self.duration)
        self.server.client.send(command, only: self.connection) { result, _ in
            // Where it is lost, with its server or to another gateway, the version of the session decides as ever.
            guard case .success(.stored(let token)) = result else { return }
            self.token = token
            if self.isReleased {
                self.server.client.send(.delete(self.key, token: token), only: self.connection) { _, _ in }
            } else {
                self.scheduleRenewal()
            }
        }
    }

    fileprivate static let value = MemcachedValue(head: ByteBuffer(string: "taken"))
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
        var attempt = TurnLeaseAttempt(serverCount: servers.count, timeout: timeout)
        var lease: TurnLease?
        var step = attempt.start()
        while true {
            switch step {
            case .add(let position):
                let (answer, taken) = await self.addTurn(item, on: servers[position])
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

    private func addTurn(_ item: MemcachedKey, on index: Int) async -> (TurnLeaseAttempt.Answer, TurnLease?) {
        let server = self.pool.servers[index]
        guard server.isAvailable, let connection = server.client.connection else { return (.failed, nil) }
        switch await self.pool.send(.add(item, TurnLease.value, TurnLease.duration), to: index, on: connection) {
        case .stored(let token):
            let lease = TurnLease(
                server: server,
                eventLoop: self.pool.eventLoop,
                key: item,
                connection: connection,
                token: token
            )
            return (.added, lease)
        case .notStored:
            return (.taken, nil)
        default:
            return (.failed, nil)
        }
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
