package import NIOCore

/// What one gateway remembers of a site's sessions between memcached and the database: what the database has to be told, and
/// what it has been told that memcached has not. A value: time comes from outside, in milliseconds.
package struct TierMemory: Sendable {
    package private(set) var configuration: TierConfiguration
    package private(set) var queue: SyncQueue
    package var touches = PendingTouches()
    package var counts = TierCounts()
    private var limit: UnknownIDLimit
    private var identities: WriteIdentities

    /// Sessions of which the database knows something that memcached does not: they were destroyed, or saved, while memcached
    /// could not be told, here or at another gateway. Each is compared with its row before anybody reads it. At most
    /// `maximumUnplaced`; what the database has beyond that is adopted when these are done.
    package private(set) var unplaced: Set<SessionKey> = []
    /// Rows of destroyed sessions that memcached has heard of. At most `maximumUnplaced`; memcached is told once more of
    /// those beyond.
    private var heard: [RowChange] = []
    /// Memcached could not be asked for a while: what others have told the database meanwhile is not known here yet, so every
    /// session is compared with its row.
    package private(set) var isBehind = false
    /// Until then memcached may have older states of sessions than it once had.
    private var oldCopiesUntil: SessionRecord.Timestamp = 0
    private var comparedKeys: Set<SessionKey> = []
    /// Counts the times that memcached could not be asked.
    private var absences = 0

    package static let maximumUnplaced = 65_536

    package init(configuration: TierConfiguration, writer: UInt64) {
        self.configuration = configuration
        self.queue = SyncQueue(
            interval: configuration.syncInterval.wholeMilliseconds,
            limit: configuration.queueSize,
            writer: writer
        )
        self.limit = UnknownIDLimit(perSecond: configuration.unknownIDs)
        self.identities = WriteIdentities(writer: writer)
    }

    /// The site was configured anew: what waits and what is known stays.
    package mutating func reconfigure(_ configuration: TierConfiguration) {
        if configuration.unknownIDs != self.configuration.unknownIDs {
            self.limit = UnknownIDLimit(perSecond: configuration.unknownIDs)
        }
        self.configuration = configuration
        self.queue.interval = configuration.syncInterval.wholeMilliseconds
        self.queue.limit = configuration.queueSize
    }

    package mutating func newIdentity(after version: UInt64?, at now: SessionRecord.Timestamp) -> WriteIdentity {
        self.identities.next(after: version, at: now &* 1_000)
    }

    package func row(_ record: SessionRecord, _ key: SessionKey, at now: SessionRecord.Timestamp) -> SessionRow {
        let expires = self.configuration.expiry(of: record, seen: now)
        let due = min(expires, now &+ self.configuration.reapAfter.wholeMilliseconds)
        return SessionRow(key: key, record: record, expires: expires, due: due, synced: now)
    }

    /// As it was found in memcached, where nobody has asked for it since: its expiry does not slide.
    func row(
        _ record: SessionRecord,
        _ key: SessionKey,
        expires: SessionRecord.Timestamp,
        at now: SessionRecord.Timestamp
    ) -> SessionRow {
        var row = self.row(record, key, at: now)
        row.expires = min(expires, record.absoluteDeadline)
        row.due = min(row.due, row.expires)
        return row
    }

    package mutating func tombstone(_ key: SessionKey, at now: SessionRecord.Timestamp) -> SessionRow {
        .tombstone(
            key,
            identity: self.newIdentity(after: nil, at: now),
            absoluteLifetime: self.configuration.absoluteLifetime,
            until: self.configuration.tombstonesUntil,
            at: now
        )
    }

    // MARK: Clients

    /// - Returns: nil where the client may not ask the database for an id.
    package mutating func admit(_ client: ByteBufferView?, at now: SessionRecord.Timestamp) -> UnknownIDLimit.Look? {
        self.limit.admit(client, at: now)
    }

    package mutating func settle(_ look: UnknownIDLimit.Look, isKnown: Bool, at now: SessionRecord.Timestamp) {
        self.limit.settle(look, isKnown: isKnown, at: now)
    }

    // MARK: What memcached has

    /// A session was read in memcached, which slid its expiry there.
    package mutating func seen(_ record: SessionRecord, _ key: SessionKey, at now: SessionRecord.Timestamp) {
        self.counts.avoidedReads += 1
        self.slid(record, key, newest: record.identity.version, at: now)
    }

    /// A session was read, wherever that was.
    /// - Parameter newest: its version, where that is known to have been acknowledged.
    package mutating func slid(
        _ record: SessionRecord,
        _ key: SessionKey,
        newest: UInt64 = 0,
        at now: SessionRecord.Timestamp
    ) {
        self.touches.seen(key, expires: self.configuration.expiry(of: record, seen: now), newest: newest, at: now)
    }

    /// A state was acknowledged by memcached.
    package mutating func saved(
        _ record: SessionRecord,
        _ key: SessionKey,
        isDue: Bool,
        at now: SessionRecord.Timestamp
    ) {
        self.compared(key)
        self.touches.forget(key)
        if !self.queue.saved(self.row(record, key, at: now), isDue: isDue, at: now) {
            self.counts.overflows += 1
        } else if !isDue {
            self.counts.avoidedWrites += 1
        }
    }

    /// Whether a save was chosen is not known. If it was, somebody may see it, and its row is to say that it is old.
    package mutating func mayBeSaved(_ key: SessionKey, version: UInt64) {
        self.queue.mayHave(key, newest: version)
    }

    /// The database could not be told that a session is destroyed.
    /// - Returns: whether it will be.
    @discardableResult
    package mutating func buriedInMemcached(_ row: SessionRow, at now: SessionRecord.Timestamp) -> Bool {
        self.touches.forget(row.key)
        var row = row
        row.due = row.record.absoluteDeadline
        let isKept = self.queue.saved(row, isDue: true, at: now)
        if !isKept { self.counts.overflows += 1 }
        return isKept
    }

    /// Memcached has heard that a session is destroyed, of which the row is to tell nobody any more.
    package mutating func buried(_ row: SessionRow) {
        self.placed(row.key)
        guard self.heard.count < Self.maximumUnplaced else { return }
        self.heard.append(.postpone(row.key, row.record.identity, due: row.record.absoluteDeadline))
    }

    // MARK: What the database has

    /// Expiries were written.
    /// - Returns: sessions without a row that were read in memcached: for `foundWithoutRow`.
    package mutating func touched(
        _ batch: [PendingTouches.Touch],
        _ results: [RowChangeResult]
    ) -> [SessionKey] {
        self.counts.writes += batch.count
        self.touches.written(batch)
        return zip(batch, results).compactMap { touch, result in
            result == .absent && self.queue.waiting(touch.key) == nil ? touch.key : nil
        }
    }

    /// A session that memcached has and the database has no row of: it began without the database, or its first save never
    /// reached that. It is due.
    ///
    /// A session that was destroyed has a row for as long as it could live, and that row is replaced by nothing: where it was
    /// destroyed meanwhile the save is refused.
    package mutating func foundWithoutRow(
        _ record: SessionRecord,
        _ key: SessionKey,
        expires: SessionRecord.Timestamp,
        at now: SessionRecord.Timestamp
    ) {
        guard !record.isTombstone, min(expires, record.absoluteDeadline) > now else { return }
        let row = self.row(record, key, expires: expires, at: now)
        guard self.queue.hasRoom(for: row) else {
            // Nor is a row told, as there is none: it would be looked for again at once.
            self.counts.overflows += 1
            return
        }
        self.queue.saved(row, isDue: true, at: now)
    }

    /// What was written before a response.
    package mutating func written(_ change: RowChange) {
        switch change {
        case .insert(let row), .compareAndSave(let row, _), .upsert(let row, _), .tombstone(let row):
            self.queue.written(
                row.key,
                version: row.record.identity.version,
                isTombstone: row.record.isTombstone
            )
            self.touches.forget(row.key)
            if row.due == SessionRow.unplaced { self.adopt(row.key) }
        case .touch, .mark, .confirm, .postpone, .makeDue, .delete:
            break
        }
    }

    package mutating func nextBatch(limit: Int, at now: SessionRecord.Timestamp, isLast: Bool) -> [RowChange] {
        let heard = self.heard.prefix(limit / 2)
        self.heard.removeFirst(heard.count)
        return heard + self.queue.nextBatch(limit: limit - heard.count, at: now, isLast: isLast)
    }

    /// - Returns: what is to be written next, where a row is of another line: that is for the reaper, which asks memcached what is
    ///   true. And sessions without a row of which something newer is known than waits here: for `foundWithoutRow`.
    package mutating func batchWritten(
        _ changes: [RowChange],
        _ results: [RowChangeResult],
        at now: SessionRecord.Timestamp
    ) -> (next: [RowChange], rowless: [SessionKey]) {
        self.counts.writes += changes.count
        self.queue.batchWritten(changes, at: now)
        var (next, rowless): ([RowChange], [SessionKey]) = ([], [])
        for (change, result) in zip(changes, results) {
            switch (change, result) {
            case (.upsert(let row, _), .refused(let current?)) where current.version < row.record.identity.version:
                // One that memcached has not heard of is for `PlaceOperation`.
                next.append(.makeDue(change.key, current))
            // Another gateway is about to make it, from an older state perhaps.
            case (.mark(let key, let newest), .absent):
                if !self.queue.makeDue(key, newest: newest, at: now) { rowless.append(key) }
            default:
                break
            }
        }
        return (next, rowless)
    }

    package mutating func batchFailed(_ changes: [RowChange]) {
        self.queue.batchFailed(changes)
    }

    // MARK: What another gateway may have saved

    /// The row says that it may be old, and nobody here has anything to write: memcached is asked, when every gateway that lives has
    /// written what it has now.
    package mutating func question(_ key: SessionKey, _ written: WriteIdentity, at now: SessionRecord.Timestamp) {
        guard self.queue.waiting(key) == nil else { return }
        self.queue.question(key, written, from: now &+ self.queue.interval)
    }

    /// As of `SyncQueue.toAsk`.
    package mutating func toAsk(
        limit: Int,
        at now: SessionRecord.Timestamp
    ) -> [(key: SessionKey, written: WriteIdentity)] {
        self.queue.toAsk(limit: limit, at: now)
    }

    /// Memcached was asked what it has of a session that another gateway may have saved last.
    /// - Returns: whether it could be asked.
    @discardableResult
    package mutating func answered(
        _ key: SessionKey,
        _ written: WriteIdentity,
        _ finding: MemcachedFinding,
        at now: SessionRecord.Timestamp
    ) -> Bool {
        switch finding {
        case .live(let record, _): self.queue.answered(key, written, found: record.identity)
        case .none: self.queue.answered(key, written, found: nil)
        case .unavailable, .alone:
            self.queue.unanswered(key, written, at: now)
            return false
        }
        return true
    }

    // MARK: What memcached has to be told

    /// Whether memcached may have forgotten sessions that the database has, or have older states of them.
    package func hasForgotten(at now: SessionRecord.Timestamp) -> Bool { self.oldCopiesUntil > now }

    /// Whether memcached's word about a session is not enough.
    package func mustCompare(_ key: SessionKey, at now: SessionRecord.Timestamp) -> Bool {
        self.isBehind || !self.unplaced.isEmpty && self.unplaced.contains(key)
            || self.hasForgotten(at: now) && !self.comparedKeys.contains(key)
    }

    /// Memcached has what the row says, or something newer.
    package mutating func compared(_ key: SessionKey) {
        self.unplaced.remove(key)
        if self.oldCopiesUntil > 0, self.comparedKeys.count < Self.maximumUnplaced { self.comparedKeys.insert(key) }
    }

    /// So many servers have forgotten what they had that all holders of a session may be among them; one that was none may
    /// have an older copy, which is then taken for the session. Until such a copy has expired unread, each session is
    /// compared with its row once.
    package mutating func memcachedHasForgotten(at now: SessionRecord.Timestamp) {
        self.oldCopiesUntil = now &+ self.configuration.idleLifetime.wholeMilliseconds
        self.comparedKeys = []
    }

    /// The database knows more of this session than memcached.
    /// - Returns: whether it is known now.
    @discardableResult
    package mutating func adopt(_ key: SessionKey) -> Bool {
        if self.unplaced.count < Self.maximumUnplaced { self.unplaced.insert(key) }
        return self.unplaced.contains(key)
    }

    /// Memcached has it now.
    package mutating func placed(_ key: SessionKey) {
        self.unplaced.remove(key)
    }

    package mutating func memcachedWasAway() {
        self.isBehind = true
        self.absences += 1
    }

    /// Memcached can be asked, and the database is now asked what it was told meanwhile.
    /// - Returns: for `caughtUp`.
    package func catchingUp() -> Int { self.absences }

    /// Rows that memcached does not have were adopted.
    /// - Parameter isAll: there are no others.
    package mutating func caughtUp(_ absences: Int, isAll: Bool = true) {
        if isAll, absences == self.absences { self.isBehind = false }
    }

    /// Some of those that memcached is to be told about: others each time, so that one that cannot be placed keeps none waiting.
    /// - Parameter chance: any number.
    package func toPlace(limit: Int, from chance: Int) -> [SessionKey] {
        guard !self.unplaced.isEmpty else { return [] }
        let start = chance % self.unplaced.count
        let rest = Array(self.unplaced.dropFirst(start).prefix(limit))
        return rest + Array(self.unplaced.prefix(min(limit - rest.count, start)))
    }
}
