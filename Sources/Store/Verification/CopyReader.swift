import Memcached
import NIOCore
import Sessions

/// Reads sessions from all of their servers without sliding any expiry. On the pool's event loop.
final class CopyReader {
    private let pool: ReplicaPool
    private let pipeline: KeyPipeline

    init(pool: ReplicaPool, pipeline: KeyPipeline) {
        self.pool = pool
        self.pipeline = pipeline
    }

    private final class Reading {
        let key: SessionKey
        let set: ReplicaLayout
        let servers: [Int]
        let completion: (CopyComparison, [Int]) -> Void
        var slots: [CopyComparison.Slot]
        var outstanding: Int
        /// The copies of a healthy session are the same bytes.
        var lastDecoded: (value: ByteBuffer, copy: ReplicaCopy)?

        init(
            key: SessionKey,
            set: ReplicaLayout,
            servers: [Int],
            completion: @escaping (CopyComparison, [Int]) -> Void
        ) {
            self.key = key
            self.set = set
            self.servers = servers
            self.completion = completion
            self.slots = Array(repeating: .silent, count: servers.count)
            self.outstanding = servers.count
        }
    }

    /// - Parameter completion: with the servers of the key by position; called at once where none can be asked.
    func read(_ key: SessionKey, completion: @escaping (CopyComparison, _ servers: [Int]) -> Void) {
        let (set, servers) = self.pool.placement.replicas(of: key)
        let reading = Reading(key: key, set: set, servers: servers, completion: completion)
        guard let item = MemcachedKey(key.bytes), !servers.isEmpty else { return self.finish(reading) }
        for (position, server) in servers.enumerated() {
            self.pool.servers[server].client.send(.get(item, touch: nil)) { result, _ in
                reading.slots[position] = self.slot(result, of: reading)
                reading.outstanding -= 1
                if reading.outstanding == 0 { self.finish(reading) }
            }
        }
    }

    private func slot(_ result: Result<MemcachedReply, MemcachedError>, of reading: Reading) -> CopyComparison.Slot {
        guard case .success(let reply) = result else { return .silent }
        switch reply {
        case .miss:
            return .absent
        case .hit(let value, _, let secondsToLive):
            self.pipeline.noteCopy(bytes: value.readableBytes)
            if let lastDecoded = reading.lastDecoded, lastDecoded.value == value {
                return .copy(lastDecoded.copy, secondsToLive: secondsToLive)
            }
            guard let copy = try? self.pool.codec.decode(value, for: reading.key) else { return .corrupt }
            reading.lastDecoded = (value, copy)
            return .copy(copy, secondsToLive: secondsToLive)
        default:
            return .silent
        }
    }

    private func finish(_ reading: Reading) {
        reading.completion(CopyComparison(reading.slots, in: reading.set), reading.servers)
    }
}
