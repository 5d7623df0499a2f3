import Memcached
import NIOCore
import Sessions

/// Reads sessions from all of their servers, many at once, without sliding any expiry. On the pool's event loop.
final class CopyReader {
    private let pool: ReplicaPool
    /// Sessions under way at once: few where they are large, as each of them is in memory as often as it has copies.
    private var window = 32
    private var averageBytes = 1_024.0

    private static let windowBytes = 8_000_000.0
    private static let largestWindow = 256

    init(pool: ReplicaPool) {
        self.pool = pool
    }

    /// Reads all of `keys`, and returns when `body` has been called with each.
    func read(_ keys: [SessionKey], _ body: @escaping (SessionKey, CopyComparison, _ servers: [Int]) -> Void) async {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            let round = Round(keys: keys, body: body) { continuation.resume() }
            self.advance(round)
        }
    }

    private final class Round {
        let keys: [SessionKey]
        let body: (SessionKey, CopyComparison, [Int]) -> Void
        let completion: () -> Void
        var next = 0
        var running = 0
        /// A server that is not there refuses at once, in the middle of a call.
        var isAdvancing = false

        init(
            keys: [SessionKey],
            body: @escaping (SessionKey, CopyComparison, [Int]) -> Void,
            completion: @escaping () -> Void
        ) {
            self.keys = keys
            self.body = body
            self.completion = completion
        }
    }

    private final class Reading {
        let key: SessionKey
        let set: ReplicaLayout
        let servers: [Int]
        var slots: [CopyComparison.Slot]
        var outstanding: Int
        /// The copies of a healthy session are the same bytes.
        var lastDecoded: (value: ByteBuffer, copy: ReplicaCopy)?

        init(key: SessionKey, set: ReplicaLayout, servers: [Int]) {
            self.key = key
            self.set = set
            self.servers = servers
            self.slots = Array(repeating: .silent, count: servers.count)
            self.outstanding = servers.count
        }
    }

    private func advance(_ round: Round) {
        guard !round.isAdvancing else { return }
        round.isAdvancing = true
        while round.running < self.window, round.next < round.keys.count {
            round.running += 1
            round.next += 1
            self.start(round.keys[round.next - 1], round)
        }
        round.isAdvancing = false
        if round.running == 0, round.next == round.keys.count { round.completion() }
    }

    private func start(_ key: SessionKey, _ round: Round) {
        let (set, servers) = self.pool.placement.replicas(of: key)
        let reading = Reading(key: key, set: set, servers: servers)
        guard let item = MemcachedKey(key.bytes) else { return self.finish(reading, round) }
        for (position, server) in servers.enumerated() {
            self.pool.servers[server].client.send(.get(item, touch: nil)) { result, _ in
                reading.slots[position] = self.slot(result, of: reading)
                reading.outstanding -= 1
                if reading.outstanding == 0 { self.finish(reading, round) }
            }
        }
    }

    private func slot(_ result: Result<MemcachedReply, MemcachedError>, of reading: Reading) -> CopyComparison.Slot {
        guard case .success(let reply) = result else { return .silent }
        switch reply {
        case .miss: return .absent
        case .hit(let value, _, let secondsToLive):
            self.averageBytes += (Double(value.readableBytes) - self.averageBytes) / 64
            if let lastDecoded = reading.lastDecoded, lastDecoded.value == value {
                return .copy(lastDecoded.copy, secondsToLive: secondsToLive)
            }
            guard let copy = try? self.pool.codec.decode(value, for: reading.key) else { return .corrupt }
            reading.lastDecoded = (value, copy)
            return .copy(copy, secondsToLive: secondsToLive)
        default: return .silent
        }
    }

    private func finish(_ reading: Reading, _ round: Round) {
        let copies = self.averageBytes * Double(max(reading.servers.count, 1))
        self.window = min(max(Int(Self.windowBytes / max(copies, 1)), 2), Self.largestWindow)
        round.body(reading.key, CopyComparison(reading.slots, in: reading.set), reading.servers)
        round.running -= 1
        self.advance(round)
    }
}
