package import NIOCore

/// A session that was read, or written, and what its next save needs.
package struct StoredSession: Sendable {
    package var loaded: LoadedRecord
    /// Known to fewer servers than it should be: nothing about it is promised.
    package var isDegraded: Bool
    /// Read from the database, since the servers could not be asked: a save goes there too.
    package var isFromDatabase = false
    /// A newer state of it had been acknowledged and is lost. Said once.
    package var hasGoneBack = false
    /// The version of a newer state that had been acknowledged, and whether that is lost nobody knows while memcached cannot be
    /// asked. A save that goes on from here leaves it behind, and says so.
    package var leavesBehind: UInt64?

    package init(loaded: LoadedRecord, isDegraded: Bool) {
        self.loaded = loaded
        self.isDegraded = isDegraded
    }

    /// As a database has it.
    package init(row record: SessionRecord, isDegraded: Bool) {
        self.init(loaded: LoadedRecord(record: record, tokens: [], needsRepair: false), isDegraded: isDegraded)
        self.isFromDatabase = isDegraded
    }

    package var record: SessionRecord { self.loaded.record }
    package var version: UInt64 { self.record.identity.version }
    package var payload: ByteBuffer { self.record.payload }
    /// What the version of a save from here must exceed.
    package var newest: UInt64 { max(self.version, self.leavesBehind ?? 0) }
}

package enum SessionLoadOutcome: Sendable {
    case live(StoredSession)
    /// Never was, has expired, or was destroyed.
    case none
    /// Too few servers answered to tell.
    case unavailable
    /// The client has asked for too many ids that nobody knows: nobody was asked for this one.
    case limited
}

package enum SessionWriteOutcome: Sendable {
    /// Chosen, and so in every later load.
    case saved(StoredSession)
    /// Another write from the same base won; this one will never be read.
    /// - Parameter winner: the version that won; nil where the session is gone.
    case discarded(winner: UInt64?)
    /// It may or may not be in the next load.
    case unknown
    /// Written to fewer servers than an acknowledgement needs.
    case degraded(StoredSession)
    /// Nothing was written; or too few servers have it, and the site refuses what is degraded.
    case unavailable
}

package enum SessionDestroyOutcome: Sendable {
    /// Nothing of the session will be returned for as long as it could have lived.
    case destroyed
    case unknown
}
