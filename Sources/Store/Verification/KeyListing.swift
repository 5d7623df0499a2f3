import Memcached
import NIOCore
import Sessions

/// Lists the sessions of a site over all of its servers, each once, in memory that does not grow with their number: where
/// there are too many for one list, the key space is divided and the servers are dumped once for each part.
struct KeyListing: Sendable {
    /// Keys of all servers together in memory at once; each takes about 200 bytes in a list and in a set.
    static let maximumKeys = 1_000_000

    struct Part {
        /// Each once.
        var keys: [SessionKey]
        /// Those of them that were found where they do not belong, and there.
        var misplaced: [SessionKey: [Int]]
        /// How much of the key space this is.
        var share: Double
    }

    let pool: ReplicaPool
    var maximumKeys = Self.maximumKeys

    /// - Parameters:
    ///   - failed: called with each server whose keys cannot be listed; it is not asked again.
    ///   - body: called with the parts one after the other.
    func forEachPart(
        of servers: [Int],
        failed: (Int, MemcachedError) -> Void,
        _ body: (Part) async -> Void
    ) async {
        var servers = servers
        var parts = [MemcachedKeyPart.all]
        while let part = parts.popLast(), !Task.isCancelled {
            var list = Part(keys: [], misplaced: [:], share: 1 / Double(part.modulus))
            var known = Set<SessionKey>()
            var isTooLarge = false
            for server in servers where !isTooLarge {
                do throws(MemcachedError) {
                    guard let keys = try await self.keys(of: server, in: part) else {
                        isTooLarge = true
                        break
                    }
                    for key in keys {
                        if !self.pool.placement.replicas(of: key).servers.contains(server) {
                            list.misplaced[key, default: []].append(server)
                        }
                        if known.insert(key).inserted { list.keys.append(key) }
                    }
                } catch {
                    servers.removeAll { $0 == server }
                    failed(server, error)
                }
            }
            if isTooLarge, let halves = part.halves {
                parts += [halves.1, halves.0]
            } else {
                await body(list)
            }
        }
    }

    /// - Returns: nil if there are too many.
    private func keys(of server: Int, in part: MemcachedKeyPart) async throws(MemcachedError) -> [SessionKey]? {
        var configuration = MemcachedKeyDump.Configuration()
        configuration.connectTimeout = self.pool.configuration.memcached.connectTimeout
        configuration.maximumKeys = max(self.maximumKeys / max(self.pool.servers.count, 1), 1)
        let keyspace = self.pool.configuration.keyspace
        let dump = MemcachedKeyDump(
            address: self.pool.servers[server].address,
            eventLoop: self.pool.eventLoop,
            configuration: configuration
        )
        return try await dump.keys(withPrefix: keyspace.bytes, in: part)?.compactMap { keyspace.key(ofItem: $0.bytes) }
    }
}
