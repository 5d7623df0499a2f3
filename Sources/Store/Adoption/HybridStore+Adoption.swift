import Database
package import NIOCore
package import Sessions

extension HybridStore {
    package func adoptionMark(of id: SessionID) -> SessionKey { self.replicas.adoptionMark(of: id) }

    /// The database must be asked too: memcached may have forgotten that the session was destroyed.
    package func adopt(_ key: SessionKey, mark: SessionKey, payload: ByteBuffer) async -> SessionLoadOutcome {
        if self.tier.isDestroyed(key) { return .none }
        var record = SessionRecord.adopted(
            self.tier.identities.next(after: nil),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime
        )
        do throws(DatabaseError) {
            if let row = try await self.tier.load(key), row.record.isTombstone { return .none }
            if try await self.tier.load(mark) != nil { return await self.load(key, client: nil) }
        } catch {
            return .unavailable
        }
        record.databaseSynced = record.created
        let outcome = await self.replicas.adopt(record, key: key, mark: mark)
        guard case .live(let session) = outcome, session.record.identity == record.identity else { return outcome }
        do throws(DatabaseError) {
            _ = try await self.tier.write(.upsert(self.tier.row(record, key)), isDurable: false)
            _ = try await self.tier.write(.tombstone(self.tombstone(mark)), isDurable: false)
        } catch {
            // As new sessions: behind the response, when the database is back.
            self.tier.saved(record, key, isDue: true)
            self.tier.destroyed(self.tombstone(mark))
        }
        return outcome
    }
}
