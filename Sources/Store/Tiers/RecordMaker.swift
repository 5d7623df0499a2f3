import NIOCore
import Sessions

extension SessionRecord {
    /// A save from this record.
    func successor(
        _ identity: WriteIdentity,
        payload: ByteBuffer,
        idleLifetime: Duration,
        cookieIssued: Timestamp?
    ) -> SessionRecord {
        var record = self
        record.identity = identity
        record.ancestors = self.lineage
        record.written = StoreClock.now
        record.idleSeconds = UInt32(clamping: idleLifetime.wholeSeconds)
        record.cookieIssued = cookieIssued ?? self.cookieIssued
        record.payload = payload
        return record
    }

    /// A new session.
    static func fresh(
        _ identity: WriteIdentity,
        payload: ByteBuffer,
        idleLifetime: Duration,
        absoluteLifetime: Duration,
        hasCookieLifetime: Bool
    ) -> SessionRecord {
        let now = StoreClock.now
        return SessionRecord(
            identity: identity,
            created: now,
            written: now,
            cookieIssued: hasCookieLifetime ? now : 0,
            idleSeconds: UInt32(clamping: idleLifetime.wholeSeconds),
            absoluteDeadline: now &+ absoluteLifetime.wholeMilliseconds,
            payload: payload
        )
    }
}

extension TierConfiguration {
    /// A save from a session.
    func proposal(
        from session: StoredSession,
        _ identity: WriteIdentity,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp?
    ) -> SessionRecord {
        session.record.successor(
            identity,
            payload: payload,
            idleLifetime: self.idleLifetime,
            cookieIssued: cookieIssued
        )
    }

    /// A new session.
    func proposal(_ identity: WriteIdentity, payload: ByteBuffer, hasCookieLifetime: Bool) -> SessionRecord {
        .fresh(
            identity,
            payload: payload,
            idleLifetime: self.idleLifetime,
            absoluteLifetime: self.absoluteLifetime,
            hasCookieLifetime: hasCookieLifetime
        )
    }
}
