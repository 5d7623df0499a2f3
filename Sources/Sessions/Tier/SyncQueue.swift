import DequeModule
import HeapModule
import NIOCore

/// What the database has to be told, and when: the newest state of each session that it does not have. Decides, and does
/// nothing; time comes from outside, in milliseconds.
///
/// A session is due `interval` after it was last written there, so that one that changes all the time costs a write now
/// and then. What waits holds at most `limit` bytes; a session beyond that is dropped and counted: it is due with its next
/// change, or when a slid expiry finds no row, and the reaper brings an old row up to date. Tombstones are taken whatever
/// waits, up to `maximumTombstones` of them.
package struct SyncQueue: Sendable {
    struct Entry: Sendable {
        var row: SessionRow
        var due: SessionRecord.Timestamp
        /// Since when the database has not the newest state.
        var since: SessionRecord.Timestamp
        /// What the batch under way writes of it.
        var inFlight: WriteIdentity?
        /// Another gateway has saved since the row was written: it may have something newer, and be dead.
        var hasRival: Bool
    }

    private struct Turn: Comparable, Sendable {
        var due: SessionRecord.Timestamp
        var key: SessionKey

        static func < (left: Turn, right: Turn) -> Bool { left.due < right.due }
        static func == (left: Turn, right: Turn) -> Bool { left.due == right.due }
    }

    /// For what comes from now on.
    package var interval: SessionRecord.Timestamp
    package var limit: Int
    private(set) var entries: [SessionKey: Entry] = [:]
    /// Every entry that is not in flight once; one that was forgotten is skipped.
    private var turns = Heap<Turn>()
    /// Versions that the rows do not say yet that they are older than.
    private var marks: [SessionKey: UInt64] = [:]
    /// What was written, and another gateway may have saved something newer than.
    var questions: [SessionKey: WriteIdentity] = [:]
    /// From when on memcached is asked, in this order. One that was forgotten is skipped.
    var asking = Deque<Question>()
    /// Of these memcached has nothing newer, which the rows are to be told.
    var confirmed: [SessionKey: WriteIdentity] = [:]
    /// Of this process.
    private let writer: UInt64
    private var tombstones = 0
    package private(set) var bytes = 0
    package private(set) var overflows = 0

    static let marksPerSession = 4
    /// Beyond these the rows go on saying that they may be old.
    package static let maximumQuestions = 65_536
    package static let maximumTombstones = 65_536
    /// Of those that are of nothing that waits.
    package static let maximumMarks = 65_536

    package init(interval: SessionRecord.Timestamp, limit: Int, writer: UInt64) {
        self.interval = interval
        self.limit = limit
        self.writer = writer
    }

    package var count: Int { self.entries.count }
    /// Whether the database has been told everything.
    package var isEmpty: Bool { self.entries.isEmpty && self.marks.isEmpty }

    /// How long the longest waiting state has not been in the database.
    package func lag(at now: SessionRecord.Timestamp) -> SessionRecord.Timestamp {
        now - min(self.entries.values.map(\.since).min() ?? now, now)
    }

    /// Whether a save at this time should reach the database behind its response, as the last one was too long ago.
    package func isDue(lastSynced: SessionRecord.Timestamp, at now: SessionRecord.Timestamp) -> Bool {
        // A gateway whose clock is ahead must not keep the others from writing for longer than the interval.
        lastSynced > now &+ self.interval || now >= lastSynced &+ self.interval
    }

    /// The newest state of a session that waits here.
    package func waiting(_ key: SessionKey) -> SessionRow? { self.entries[key]?.row }

    // MARK: What happened

    /// A state was acknowledged that the database does not have.
    /// - Returns: whether it waits now.
    @discardableResult
    package mutating func saved(_ row: SessionRow, isDue: Bool, at now: SessionRecord.Timestamp) -> Bool {
        let size = row.size
        let due: SessionRecord.Timestamp
        if isDue {
            due = now
        } else {
            due = min(row.record.databaseSynced, now) &+ self.interval
        }
        let isForeign = row.record.identity.writer != self.writer
        if var entry = self.entries[row.key] {
            // Older news, or news of a session that was destroyed meanwhile.
            guard row.record.identity.version > entry.row.record.identity.version || row.record.isTombstone,
                !entry.row.record.isTombstone
            else { return true }
            guard self.hasRoom(for: row, besides: entry.row.size) else {
                self.overflowed(row)
                return false
            }
            self.forgetQuestion(row.key)
            self.bytes += size - entry.row.size
            self.tombstones += row.record.isTombstone ? 1 : 0
            var newest = row
            newest.saves += entry.inFlight == nil ? entry.row.saves : 0
            if !isDue, row.record.databaseSynced != entry.row.record.databaseSynced {
                // Somebody else has written the row meanwhile, which no longer says that it is old.
                self.mark(row.key, newest: row.record.identity.version)
            }
            // Whoever saves after one that is written at once finds out by that that the row has been written.
            let isNext = row.record.base == entry.row.record.identity
            entry.hasRival = isDue ? isForeign : entry.hasRival || !isNext || self.hasRival(row.record)
            entry.row = newest
            if due < entry.due {
                entry.due = due
                if entry.inFlight == nil { self.turns.insert(Turn(due: due, key: row.key)) }
            }
            self.entries[row.key] = entry
            return true
        }
        guard self.hasRoom(for: row) else {
            self.overflowed(row)
            return false
        }
        self.forgetQuestion(row.key)
        self.bytes += size
        self.tombstones += row.record.isTombstone ? 1 : 0
        let hasRival = isDue ? isForeign : self.hasRival(row.record)
        self.entries[row.key] = Entry(row: row, due: due, since: now, hasRival: hasRival)
        self.turns.insert(Turn(due: due, key: row.key))
        if due > now { self.mark(row.key, newest: row.record.identity.version) }
        return true
    }

    /// Whether another gateway may have an older state to write, and so take the row for older than what it saves next.
    private func hasRival(_ record: SessionRecord) -> Bool {
        record.identity.writer != self.writer || record.ancestors.contains { $0.writer != self.writer }
    }

    func hasRoom(for row: SessionRow, besides freed: Int = 0) -> Bool {
        row.record.isTombstone
            ? self.tombstones < Self.maximumTombstones : self.bytes - freed + row.size <= self.limit
    }

    /// Nobody writes it, but the row says that it is old.
    private mutating func overflowed(_ row: SessionRow) {
        self.overflows += 1
        if !row.record.isTombstone { self.mayHave(row.key, newest: row.record.identity.version) }
    }

    /// There is, or may be, a version that the database has not and that does not wait here. Where there are too many of these,
    /// whoever reads it will tell.
    package mutating func mayHave(_ key: SessionKey, newest: UInt64) {
        guard self.marks.count - self.entries.count < Self.maximumMarks else { return }
        self.mark(key, newest: newest)
    }

    private mutating func mark(_ key: SessionKey, newest: UInt64) {
        self.marks[key] = max(self.marks[key] ?? 0, newest)
    }

    /// The row has this version, or is about to.
    private mutating func unmark(_ key: SessionKey, upTo version: UInt64) {
        if let newest = self.marks[key], newest <= version { self.marks[key] = nil }
    }

    /// The database has this state, or a newer one: it was written by itself. A sign-out that waits goes on waiting, however new
    /// a save is that was under way when it came.
    package mutating func written(_ key: SessionKey, version: UInt64, isTombstone: Bool = false) {
        self.unmark(key, upTo: version)
        if let asked = self.questions[key], asked.version <= version { self.forgetQuestion(key) }
        guard let entry = self.entries[key], entry.inFlight == nil, entry.row.record.identity.version <= version,
            isTombstone || !entry.row.record.isTombstone
        else { return }
        self.remove(key)
    }

    private mutating func remove(_ key: SessionKey) {
        guard let entry = self.entries.removeValue(forKey: key) else { return }
        self.bytes -= entry.row.size
        self.tombstones -= entry.row.record.isTombstone ? 1 : 0
        self.unmark(key, upTo: entry.row.record.isTombstone ? .max : entry.row.record.identity.version)
    }

    // MARK: Batches

    /// What is to be written now, at most `limit` sessions and `marksPerSession` times as many words about rows. A batch ends with
    /// `batchWritten` or `batchFailed`; batches that are under way at once share no save.
    ///
    /// - Parameter isLast: takes also what is not due yet.
    package mutating func nextBatch(
        limit: Int,
        at now: SessionRecord.Timestamp,
        isLast: Bool = false
    ) -> [RowChange] {
        // However many are due: what was acknowledged since a row was written is to be known soon, and costs little.
        var changes = self.takeMarks(limit: isLast ? 0 : limit * Self.marksPerSession) { $0.due > now }
        changes += self.takeConfirmed(limit: limit)
        let end = changes.count + limit
        while changes.count < end, let turn = self.turns.min, turn.due <= now || isLast {
            self.turns.removeMin()
            guard var entry = self.entries[turn.key], entry.inFlight == nil, entry.due == turn.due else { continue }
            entry.inFlight = entry.row.record.identity
            self.entries[turn.key] = entry
            self.unmark(turn.key, upTo: entry.row.record.identity.version)
            var row = entry.row
            row.synced = now
            if entry.hasRival {
                row.newest = max(row.newest, row.maybeNewer)
                // At the end nobody asks from here.
                if isLast { row.due = min(row.due, SessionRow.dueAtOnce) }
            }
            // A row that is no ancestor is of another line: made after all copies of this state were lost, or by a gateway
            // that reached the database alone. It is not for whoever comes late to replace that.
            changes.append(row.record.isTombstone ? .tombstone(row) : .upsert(row, over: .ancestors))
        }
        // Of those that are being written it is told when that is done.
        return changes + self.takeMarks(limit: end - changes.count) { _ in true }
    }

    /// - Parameter isWanted: of those whose newest state waits here.
    private mutating func takeMarks(limit: Int, where isWanted: (Entry) -> Bool) -> [RowChange] {
        var changes: [RowChange] = []
        for (key, newest) in self.marks {
            if changes.count >= limit { break }
            if let entry = self.entries[key], entry.inFlight != nil || !isWanted(entry) { continue }
            changes.append(.mark(key, newest: newest))
        }
        for change in changes { self.marks[change.key] = nil }
        return changes
    }

    /// Applied or refused: the database has that state, a newer one, or one of another line.
    package mutating func batchWritten(_ changes: [RowChange], at now: SessionRecord.Timestamp) {
        for change in changes {
            let key = change.key
            guard change.row != nil, var entry = self.entries[key], let written = entry.inFlight else { continue }
            guard written != entry.row.record.identity else {
                self.remove(key)
                if entry.hasRival, !entry.row.record.isTombstone {
                    self.question(key, written, from: now &+ self.interval)
                }
                continue
            }
            // It has changed since.
            entry.inFlight = nil
            entry.due = entry.row.record.isTombstone ? now : now &+ self.interval
            entry.since = now
            self.entries[key] = entry
            self.turns.insert(Turn(due: entry.due, key: key))
            if entry.due > now { self.mark(key, newest: entry.row.record.identity.version) }
        }
    }

    /// There is no row that could be told that it is old: what waits is not to wait longer.
    /// - Parameter newest: what the row was to be told of.
    /// - Returns: whether anything waits.
    mutating func makeDue(_ key: SessionKey, newest: UInt64, at now: SessionRecord.Timestamp) -> Bool {
        guard var entry = self.entries[key] else { return false }
        if newest > entry.row.record.identity.version { self.mark(key, newest: newest) }
        guard entry.due > now else { return true }
        entry.due = now
        self.entries[key] = entry
        if entry.inFlight == nil { self.turns.insert(Turn(due: now, key: key)) }
        return true
    }

    /// Everything stays due.
    package mutating func batchFailed(_ changes: [RowChange]) {
        for change in changes {
            let key = change.key
            switch change {
            case .mark(_, let newest): self.mayHave(key, newest: newest)
            case .confirm(_, let identity): if self.entries[key] == nil { self.question(key, identity, from: 0) }
            default: break
            }
            guard change.row != nil else { continue }
            guard var entry = self.entries[key] else { continue }
            entry.inFlight = nil
            self.turns.insert(Turn(due: entry.due, key: key))
            self.entries[key] = entry
        }
    }
}

extension SessionRow {
    /// Bytes that it occupies while it waits, roughly.
    fileprivate var size: Int { self.record.payload.readableBytes + 1_024 }
}
