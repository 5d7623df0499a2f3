import Memcached
import NIOCore
import Sessions

/// What every repair of whole servers does: sessions are chosen anew, and a server that knows all it should is marked.
extension ReplicaPool {
    private static let attempts = 3

    /// Has a session's record chosen anew on the servers where it belongs. Where too few of them answer it is tried
    /// again, three times in all, with growing pauses. Call and result on the event loop.
    func chooseAnew(_ key: SessionKey, attempt: Int = 1, completion: @escaping (ReplicaOutcome) -> Void) {
        self.perform(.keep, key: key, timeout: self.configuration.longestOperation) { outcome in
            switch outcome {
            case .chosen, .none, .destroyed, .beyondRepair:
                completion(outcome)
            case .discarded, .unknown, .unavailable, .degraded:
                guard attempt < Self.attempts else { return completion(outcome) }
                self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .milliseconds(50 * Int64(attempt))) {
                    self.chooseAnew(key, attempt: attempt + 1, completion: completion)
                }
            }
        }
    }

    /// Says on the server itself that it knows all it should.
    ///
    /// - Parameter connection: the one on which the marker was seen absent before the walk.
    /// - Returns: whether it is marked; not where the connection has changed.
    func mark(_ index: Int, on connection: ConnectionNumber) async -> Bool {
        guard let marker = MemcachedKey(self.configuration.markerKey) else { return false }
        switch await self.send(.add(marker, self.markerText, .never), to: index, on: connection) {
        case .stored, .notStored:
            self.servers[index].markedComplete(on: connection)
            return true
        default:
            return false
        }
    }

    /// - Returns: whether the server's marker is there; nil where the server does not say so on this connection.
    func hasMarker(_ index: Int, on connection: ConnectionIdentity) async -> Bool? {
        guard let marker = MemcachedKey(self.configuration.markerKey) else { return nil }
        let connection = ConnectionNumber(rawValue: connection.number)
        switch await self.send(.get(marker, touch: nil), to: index, on: connection) {
        case .hit: return true
        case .miss: return false
        default: return nil
        }
    }

    /// - Returns: nil where the server has not answered on this connection.
    func send(_ command: MemcachedCommand, to index: Int, on connection: ConnectionNumber) async -> MemcachedReply? {
        await withUnsafeContinuation { continuation in
            self.servers[index].client.send(command, only: connection) { result, _ in
                continuation.resume(returning: try? result.get())
            }
        }
    }
}
