import Database
import Logging
package import NIOCore
package import Sessions

extension DatabaseStore {
    package func adoptionMark(of id: SessionID) -> SessionKey { self.configuration.keyspace.adoptionMark(of: id) }

    package func adopt(_ key: SessionKey, mark: SessionKey, payload: ByteBuffer) async -> SessionLoadOutcome {
        let record = SessionRecord.adopted(
            self.shared.newIdentity(after: nil),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime
        )
        do throws(DatabaseError) {
            self.shared.counters.add(\.reads)
            // Taken over before, perhaps by another request since this one has looked.
            if try await self.database.load(mark) != nil { return await self.load(key, client: nil) }
        } catch {
            self.failed(error, "a session could not be read")
            return .unavailable
        }
        let outcome: SessionLoadOutcome
        switch await self.write(record, key, isDurable: false, { .insert($0) }) {
        case .saved(let session), .degraded(let session): outcome = .live(session)
        case .discarded: outcome = await self.load(key, client: nil)
        case .unknown, .unavailable: return .unavailable
        }
        // Where that fails the session is no worse off; only once it has expired it could be taken over again.
        if case .live = outcome { _ = await self.destroy(mark) }
        return outcome
    }
}
