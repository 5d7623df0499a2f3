/// A session as a database keeps it: one write of it, and what the database knows about its life.
package struct SessionRow: Sendable, Equatable {
    package var key: SessionKey
    /// Ballot, holders and placement are memcached's affair and not kept.
    package var record: SessionRecord
    /// When the idle time runs out, as far as the database has been told; of a tombstone the absolute expiry.
    package var expires: SessionRecord.Timestamp
    /// When the reaper has to look at the row; `unplaced` where memcached has not what the row says.
    package var due: SessionRecord.Timestamp
    /// When the row was last brought up to date.
    package var synced: SessionRecord.Timestamp
    /// The newest version that is known to have been acknowledged. Above the record's own where the database was to get
    /// it later: a session that is read from such a row has gone back. `maybeNewer` where there may be one.
    package var newest: UInt64
    /// How many saves the row stands for, for the session's log line. Written, it is added to what is there.
    package var saves: UInt64
    /// Written with a tombstone: it stays until then, however long the session could have lived. Not kept by itself.
    package var keptUntil: SessionRecord.Timestamp = 0

    package init(
        key: SessionKey,
        record: SessionRecord,
        expires: SessionRecord.Timestamp,
        due: SessionRecord.Timestamp,
        synced: SessionRecord.Timestamp,
        newest: UInt64? = nil,
        saves: UInt64 = 1
    ) {
        self.key = key
        self.record = record
        self.expires = expires
        self.due = due
        self.synced = synced
        self.newest = newest ?? record.identity.version
        self.saves = saves
    }

    /// Due from the beginning of time, so that these rows are found by what the reaper finds its own by: a session that was
    /// destroyed or saved while memcached could not be told.
    package static let unplaced: SessionRecord.Timestamp = 0
    /// Due now, by whatever clock the reaper goes.
    package static let dueAtOnce: SessionRecord.Timestamp = 1

    /// Whether it is a session at this time: not destroyed, not expired.
    package func isLive(at now: SessionRecord.Timestamp) -> Bool {
        !self.record.isTombstone && self.expires > now && self.record.absoluteDeadline > now
    }

    /// Whether a newer state of the session had been acknowledged than the row has, or may have been.
    package var hasGoneBack: Bool { self.newest > self.record.identity.version }
    /// Whether one had been for certain.
    package var isOld: Bool { self.newest > self.maybeNewer }
    /// No write's version: `WriteIdentities` leaves it out.
    package var maybeNewer: UInt64 { self.record.identity.version &+ 1 }
}

extension SessionRow {
    /// Of a session that is destroyed, for as long as it could have lived, and could be taken over from another store.
    package static func tombstone(
        _ key: SessionKey,
        identity: WriteIdentity,
        absoluteLifetime: Duration,
        until: SessionRecord.Timestamp = 0,
        at now: SessionRecord.Timestamp
    ) -> SessionRow {
        let deadline = max(now &+ absoluteLifetime.wholeMilliseconds, until)
        var record = SessionRecord.tombstoneOfNothing(identity: identity, now: now)
        record.absoluteDeadline = deadline
        var row = SessionRow(key: key, record: record, expires: deadline, due: deadline, synced: now, saves: 0)
        row.keptUntil = until
        return row
    }
}

/// What the reaper learns of a row before it decides: all but the session's data.
package struct DueRow: Sendable, Equatable {
    package var key: SessionKey
    package var identity: WriteIdentity
    package var newest: UInt64
    package var isTombstone: Bool
    package var created: SessionRecord.Timestamp
    package var written: SessionRecord.Timestamp
    package var expires: SessionRecord.Timestamp
    /// When it was last asked for, as far as the database has been told.
    package var seen: SessionRecord.Timestamp
    package var absoluteDeadline: SessionRecord.Timestamp
    package var due: SessionRecord.Timestamp
    package var saves: UInt64
    /// Bytes of its data.
    package var size: Int

    package init(
        key: SessionKey,
        identity: WriteIdentity,
        newest: UInt64,
        isTombstone: Bool,
        created: SessionRecord.Timestamp,
        written: SessionRecord.Timestamp,
        expires: SessionRecord.Timestamp,
        seen: SessionRecord.Timestamp,
        absoluteDeadline: SessionRecord.Timestamp,
        due: SessionRecord.Timestamp,
        saves: UInt64,
        size: Int
    ) {
        self.key = key
        self.identity = identity
        self.newest = newest
        self.isTombstone = isTombstone
        self.created = created
        self.written = written
        self.expires = expires
        self.seen = seen
        self.absoluteDeadline = absoluteDeadline
        self.due = due
        self.saves = saves
        self.size = size
    }
}

/// Up to where the reaper has come: rows are walked in the order of their time, then their key.
package struct DueCursor: Sendable, Equatable {
    package var due: SessionRecord.Timestamp
    package var key: [UInt8]

    package init(after row: DueRow) {
        self.due = row.due
        self.key = row.key.bytes
    }
}
