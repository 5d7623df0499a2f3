import Memcached
import NIOCore
import Sessions

/// By which one gateway at a time walks for a server: an item on that server, which its owner renews and which goes by
/// itself when the owner is dead. It saves work and nothing else, as every write of a walk is safe beside others.
///
/// The item says how far the walk is, for whoever asks.
///
/// `@unchecked Sendable`: touched on the pool's event loop only.
final class WalkLease: @unchecked Sendable {
    private let pool: ReplicaPool
    private let server: Int
    private let connection: ConnectionNumber
    private var token: UInt64?

    private static let duration = MemcachedExpiry.seconds(10)
    /// Between two renewals.
    static let interval: Duration = .seconds(3)

    init(pool: ReplicaPool, server: Int, on connection: ConnectionNumber) {
        self.pool = pool
        self.server = server
        self.connection = connection
    }

    var isHeld: Bool { self.token != nil }

    /// - Returns: not where somebody else has it.
    func take() async -> Bool {
        guard let key = MemcachedKey(self.pool.configuration.leaseKey) else { return false }
        let value = MemcachedValue(head: ByteBuffer(string: WalkProgress().text))
        self.note(await self.pool.send(.add(key, value, Self.duration), to: self.server, on: self.connection))
        return self.isHeld
    }

    /// Without effect where it is not held. It is lost where this gateway was late and another one has taken it.
    func renew(_ progress: WalkProgress) async {
        guard let token, let key = MemcachedKey(self.pool.configuration.leaseKey) else { return }
        let command = MemcachedCommand.compareAndSet(
            key,
            MemcachedValue(head: ByteBuffer(string: progress.text)),
            token: token,
            Self.duration
        )
        self.note(await self.pool.send(command, to: self.server, on: self.connection))
    }

    private func note(_ reply: MemcachedReply?) {
        if case .stored(let token) = reply { self.token = token } else { self.token = nil }
    }
}
