import Memcached
import NIOCore
import Sessions

/// Small items beside the sessions: markers, leases, registrations.
extension ReplicaPool {
    func send(
        _ command: MemcachedCommand,
        to index: Int,
        on connection: ConnectionNumber? = nil
    ) async -> MemcachedReply? {
        await withUnsafeContinuation { continuation in
            self.servers[index].client.send(command, only: connection) { result, _ in
                continuation.resume(returning: try? result.get())
            }
        }
    }

    /// The numbers of the state's servers, and of the configured ones, that are up.
    var reachableServers: [Int] {
        self.servers.indices.filter { !self.servers[$0].isClosed && self.servers[$0].isAvailable }
    }

    /// Replaces a server's marker, if it is still what was seen last.
    func replaceMarker(of index: Int, by state: PoolState<RingDescription>) async {
        let server = self.servers[index]
        guard let key = MemcachedKey(self.configuration.markerKey), let marker = server.lastMarker,
            let connection = server.client.connection, server.isComplete(on: connection)
        else { return }
        let value = MemcachedValue(head: ByteBuffer(string: self.seal.sealed(state)))
        _ = await self.send(.compareAndSet(key, value, token: marker.token, .never), to: index, on: connection)
        server.look()
    }

    /// Looks at all markers now. Returns when all that answer have.
    func lookAtAll() async {
        guard let key = MemcachedKey(self.configuration.markerKey) else { return }
        for index in self.reachableServers {
            self.servers[index].look()
            // Answered behind it.
            _ = await self.send(.get(key, touch: nil), to: index)
        }
    }

    /// What is known of each server, by name.
    var sights: [String: RingChange<RingDescription>.Sight] {
        var sights: [String: RingChange<RingDescription>.Sight] = [:]
        for name in self.state.members + self.configuration.servers.map(\.ringServer.address) {
            guard sights[name] == nil, let number = self.numbers[name] else { continue }
            let server = self.servers[number]
            var condition = ServerCondition.down
            if server.isAvailable, let connection = server.client.connection {
                let identity = ConnectionIdentity(number: connection.rawValue)
                condition = server.isComplete(on: connection) ? .complete(identity) : .incomplete(identity)
            }
            sights[name] = .init(condition: condition, state: server.lastMarker?.state)
        }
        return sights
    }
}
