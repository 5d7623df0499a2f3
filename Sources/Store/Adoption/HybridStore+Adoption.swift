import Database
package import NIOCore
package import Sessions

extension HybridStore {
    package func adoptionMark(of id: SessionID) -> SessionKey { self.replicas.adoptionMark(of: id) }

    /// The database must be asked too: memcached may have forgotten that the session was destroyed.
    package func adopt(_ key: SessionKey, mark: SessionKey, payload: ByteBuffer) async -> SessionLoadOutcome {
        if self.tier.withMemory({ $0.queue.waiting(key)?.record.isTombstone ?? false }) { return .none }
        guard case .row(let row) = await self.tier.load(key), case .row(let taken) = await self.tier.load(mark) else {
            return .unavailable
        }
        if row?.record.isTombstone ?? false { return .none }
        if taken != nil { return await self.load(key, client: nil) }
        var record = SessionRecord.adopted(
            self.tier.newIdentity(after: nil),
            payload: payload,
            idleLifetime: self.tier.configuration.idleLifetime,
            absoluteLifetime: self.tier.configuration.absoluteLifetime
        )
        record.databaseSynced = record.created
        let outcome = await self.replicas.adopt(record, key: key, mark: mark)
        guard case .live(let session) = outcome, session.record.identity == record.identity else { return outcome }
        let now = StoreClock.now
        let changes: [RowChange] = self.tier.withMemory {
            [.upsert($0.row(record, key, at: now)), .tombstone($0.tombstone(mark, at: now))]
        }
        do throws(DatabaseError) {
            _ = try await self.tier.apply(changes)
            self.tier.withMemory { for change in changes { $0.written(change) } }
        } catch {
            // As new sessions: behind the response, when the database is back.
            self.tier.withMemory {
                $0.saved(record, key, isDue: true, at: now)
                $0.buriedInMemcached($0.tombstone(mark, at: now), at: now)
            }
        }
        return outcome
    }
}
