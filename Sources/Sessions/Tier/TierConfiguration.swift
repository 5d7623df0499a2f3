/// How one site uses its database, beside memcached or alone.
package struct TierConfiguration: Sendable {
    package var keyspace: SessionKeyspace
    package var idleLifetime: Duration
    package var absoluteLifetime: Duration
    /// Whether what cannot be promised is served, marked as degraded.
    package var servesDegraded = true
    /// How long a change may be in memcached alone.
    package var syncInterval: Duration = .seconds(120)
    /// Whether a new session is in the database before its first response.
    package var syncsNew = false
    /// Bytes of sessions that wait for the database at the most.
    package var queueSize = 64 * 1_024 * 1_024
    /// As the site wishes.
    package var minimumReapAfter: Duration = .seconds(1_800)
    /// After how long without news of a session its row is compared with memcached: when whatever a living gateway has to write
    /// of it is there. A row that is brought up to date before no longer says that it will be old.
    package var reapAfter: Duration { max(self.minimumReapAfter, self.syncInterval * 2) }
    /// The pause between two passes of the reaper.
    package var reapInterval: Duration = .seconds(60)
    /// Unknown ids that one client address may ask the database for in a second.
    package var unknownIDs = 100
    /// No tombstone goes before: until then its session could be taken over from another store again.
    package var tombstonesUntil: SessionRecord.Timestamp = 0
    /// Whether tables that are missing are made.
    package var migrates = true

    package init(keyspace: SessionKeyspace, idleLifetime: Duration, absoluteLifetime: Duration) {
        self.keyspace = keyspace
        self.idleLifetime = idleLifetime
        self.absoluteLifetime = absoluteLifetime
    }

    /// How long an expiry that slid may be in a process's memory alone, where the database is all there is: of the idle
    /// lifetime a tenth, at most half a minute.
    package var touchInterval: Duration { min(.seconds(30), self.idleLifetime / 10) }

    /// When a session that is asked for now runs out.
    package func expiry(of record: SessionRecord, seen now: SessionRecord.Timestamp) -> SessionRecord.Timestamp {
        min(now &+ self.idleLifetime.wholeMilliseconds, record.absoluteDeadline)
    }

    /// What the rows learn of sessions that were read. Where a row is older than what was read, a living gateway brings it up to
    /// date within `syncInterval`; after that the reaper does.
    package func changes(for touches: [PendingTouches.Touch], at now: SessionRecord.Timestamp) -> [RowChange] {
        let due = now &+ self.reapAfter.wholeMilliseconds
        let soon = now &+ 2 &* self.syncInterval.wholeMilliseconds
        return touches.map { touch in
            .touch(touch.key, expires: touch.expires, due: min(touch.expires, due), newest: touch.newest, soon: soon)
        }
    }
}

extension Duration {
    package var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = self.components
        return UInt64(clamping: seconds) &* 1_000 &+ UInt64(clamping: attoseconds / 1_000_000_000_000_000)
    }
}
