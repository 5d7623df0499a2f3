package import NIOCore
package import Sessions

extension SessionStore {
    package func adoptionMark(of id: SessionID) -> SessionKey { self.configuration.keyspace.adoptionMark(of: id) }

    package func adopt(_ key: SessionKey, mark: SessionKey, payload: ByteBuffer) async -> SessionLoadOutcome {
        let record = SessionRecord.adopted(
            self.pool.newIdentity(after: nil),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime
        )
        return await self.adopt(record, key: key, mark: mark)
    }

    /// The mark is a record first, which anybody may make, and a tombstone once the session is there.
    func adopt(_ record: SessionRecord, key: SessionKey, mark: SessionKey) async -> SessionLoadOutcome {
        let unmarked = SessionRecord.fresh(
            self.pool.newIdentity(after: nil),
            payload: ByteBuffer(),
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime,
            hasCookieLifetime: false
        )
        switch await self.restore(unmarked, key: mark) {
        case .live:
            break
        case .none:
            // Taken over before, perhaps by another request since this one has looked.
            return await self.load(key)
        case .unavailable, .limited:
            return .unavailable
        }
        let outcome = await self.restore(record, key: key)
        if case .live = outcome {
            // Where that fails the session is no worse off; only once it has expired it could be taken over again.
            _ = await self.destroy(mark)
        }
        return outcome
    }
}

extension SessionRecord {
    /// The browser's cookie has the other program's lifetime: the first response sends it anew where it has one.
    static func adopted(
        _ identity: WriteIdentity,
        payload: ByteBuffer,
        idleLifetime: Duration,
        absoluteLifetime: Duration
    ) -> SessionRecord {
        .fresh(
            identity,
            payload: payload,
            idleLifetime: idleLifetime,
            absoluteLifetime: absoluteLifetime,
            hasCookieLifetime: false
        )
    }
}
