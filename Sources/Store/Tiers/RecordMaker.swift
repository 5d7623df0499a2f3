import NIOCore
import Sessions
import Synchronization

/// The versions of the writes of one process.
final class WriteIdentitySource: Sendable {
    private let writer = UInt64.random(in: 1 ... .max)
    private let lastVersion = Mutex<UInt64>(0)

    /// Its version is greater than the base's and any this source has issued.
    func next(after base: WriteIdentity?) -> WriteIdentity {
        let version = self.lastVersion.withLock { last in
            last = max(StoreClock.microseconds, (base?.version ?? 0) &+ 1, last &+ 1)
            return last
        }
        return WriteIdentity(version: version, writer: self.writer)
    }
}

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
