import Memcached
import NIOCore
import Sessions

/// Writes this gateway's registration to the servers, and reads all. A server has a fixed number of places for them, each
/// taken by an add and kept by compare-and-set; one that is not renewed is gone after a while, by the server's own clock.
/// On the pool's event loop.
final class GatewayRegistry {
    /// Beyond it gateways are not counted: they follow what the others agree on.
    static let places = 64
    private static let lifetime = MemcachedExpiry.seconds(15)

    private struct Place {
        var slot: Int
        var token: UInt64
        var connection: ConnectionNumber
    }

    private let pool: ReplicaPool
    private var held: [Int: Place] = [:]

    init(pool: ReplicaPool) {
        self.pool = pool
    }

    func renew(_ registration: GatewayRegistration) async {
        let value = MemcachedValue(head: ByteBuffer(string: registration.text))
        for index in self.pool.reachableServers {
            guard let connection = self.pool.servers[index].client.connection else { continue }
            if let place = self.held[index], place.connection == connection, let key = self.key(place.slot) {
                let renewal = MemcachedCommand.compareAndSet(key, value, token: place.token, Self.lifetime)
                if case .stored(let token) = await self.pool.send(renewal, to: index, on: connection) {
                    self.held[index] = Place(slot: place.slot, token: token, connection: connection)
                    continue
                }
            }
            self.held[index] = nil
            await self.take(value, on: index, connection)
        }
    }

    private func take(_ value: MemcachedValue, on index: Int, _ connection: ConnectionNumber) async {
        let first = Int.random(in: 0..<Self.places)
        for offset in 0..<Self.places {
            let slot = (first + offset) % Self.places
            guard let key = self.key(slot) else { return }
            switch await self.pool.send(.add(key, value, Self.lifetime), to: index, on: connection) {
            case .stored(let token):
                self.held[index] = Place(slot: slot, token: token, connection: connection)
                return
            case .notStored:
                continue
            default:
                return
            }
        }
    }

    /// Of all gateways that any server knows of.
    func all() async -> [GatewayRegistration] {
        var all: [GatewayRegistration] = []
        let pool = self.pool
        let keys = (0..<Self.places).compactMap { self.key($0) }
        for index in pool.reachableServers {
            all += await withTaskGroup(of: GatewayRegistration?.self) { group in
                for key in keys {
                    group.addTask {
                        guard case .hit(let text, _, _) = await pool.send(.get(key, touch: nil), to: index) else {
                            return nil
                        }
                        return GatewayRegistration(text: String(buffer: text))
                    }
                }
                var found: [GatewayRegistration] = []
                for await registration in group {
                    if let registration { found.append(registration) }
                }
                return found
            }
        }
        return GatewayRegistration.latest(all)
    }

    private func key(_ slot: Int) -> MemcachedKey? {
        MemcachedKey(self.pool.configuration.registrationKey(slot))
    }
}
