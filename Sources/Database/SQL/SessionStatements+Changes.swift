import NIOCore
import Sessions

/// Every change is one guarded statement, and where that meets no row, what follows it. The statements of a batch take few
/// round trips, where the database can.
extension SessionStatements {
    /// Bytes of sessions that one round trip carries, unless a single one has more.
    private static let bytesAtOnce = 1 << 20

    /// First all of the statements in the order of the changes, then what follows them, in this order too. What there is instead
    /// is read without a lock, and only what is not there is inserted: several gateways whose changes are sorted do not lock one
    /// another out, unless new sessions are made at the same time, and then the transaction is run again.
    func apply(_ changes: [RowChange]) throws(DatabaseError) -> [RowChangeResult] {
        var counts: [Int] = []
        while counts.count < changes.count {
            let statements = Self.batch(changes[counts.count...]).map { Self.statement($0) }
            var answers = try self.connection.execute(statements.compactMap { $0 }).makeIterator()
            counts += statements.map { $0 == nil ? 0 : answers.next() ?? 0 }
        }
        let present = try self.present(zip(changes, counts).filter { $1 == 0 && $0.mayMeetNoRow }.map(\.0.key.bytes))
        var results: [RowChangeResult] = []
        for (change, count) in zip(changes, counts) {
            results.append(count > 0 ? .applied : try self.follow(change, present))
        }
        return results
    }

    /// The first ones, as many as go together.
    private static func batch(_ changes: ArraySlice<RowChange>) -> ArraySlice<RowChange> {
        var bytes = 0
        let end = changes.firstIndex { change in
            bytes += change.payloadBytes
            return bytes > self.bytesAtOnce
        }
        return changes[..<max(end ?? changes.endIndex, changes.startIndex + 1)]
    }

    /// - Returns: nil for an insertion, which is none that every database can be asked for in a batch.
    private static func statement(_ change: RowChange) -> SQLStatement? {
        switch change {
        case .insert:
            nil
        case .compareAndSave(let row, let base):
            self.compareAndSave(row, base)
        case .upsert(let row, let replaced):
            self.update(row, replaced)
        case .tombstone(let row):
            self.bury(row)
        case .touch(let key, let expires, let due, let newest, let soon):
            self.touch(key, expires: expires, due: due, newest: newest, soon: soon)
        case .mark(let key, let newest):
            SQLStatement(
                "UPDATE session_gateway_sessions SET newest = ? WHERE session_key = ? AND tombstone = 0 AND newest < ?",
                [SQLValue(clamping: newest), SQLValue(key.bytes), SQLValue(clamping: newest)]
            )
        case .confirm(let key, let identity):
            SQLStatement(
                """
                UPDATE session_gateway_sessions SET newest = version
                WHERE session_key = ? AND version = ? AND writer = ? AND tombstone = 0 AND newest = version + 1
                """,
                [SQLValue(key.bytes)] + self.values(identity)
            )
        case .postpone(let key, let identity, let due):
            SQLStatement(
                "UPDATE session_gateway_sessions SET due = ? WHERE session_key = ? AND version = ? AND writer = ?",
                [SQLValue(clamping: due), SQLValue(key.bytes)] + self.values(identity)
            )
        case .makeDue(let key, let identity):
            SQLStatement(
                """
                UPDATE session_gateway_sessions SET due = ?
                WHERE session_key = ? AND version = ? AND writer = ? AND due > ?
                """,
                [SQLValue(clamping: SessionRow.dueAtOnce), SQLValue(key.bytes)] + self.values(identity)
                    + [SQLValue(clamping: SessionRow.dueAtOnce)]
            )
        case .delete(let key, let identity, let dueBefore, let expiresBefore):
            SQLStatement(
                """
                DELETE FROM session_gateway_sessions
                WHERE session_key = ? AND version = ? AND writer = ? AND due <= ? AND expires <= ?
                """,
                [SQLValue(key.bytes)] + self.values(identity)
                    + [SQLValue(clamping: dueBefore), SQLValue(clamping: expiresBefore)]
            )
        }
    }

    /// What is done where the statement met no row.
    /// - Parameter present: of saves, expiries and marks what the rows are that are there.
    private func follow(_ change: RowChange, _ present: [[UInt8]: Present]) throws(DatabaseError) -> RowChangeResult {
        switch change {
        case .insert(let row):
            return try self.insert(row) ? .applied : self.refusal(row)
        case .compareAndSave(let row, _):
            return try self.refusal(row)
        case .upsert(let row, let replaced):
            if let there = present[row.key.bytes] {
                guard !there.isTombstone else { return .refused(current: nil) }
                guard row.mayReplace(there.identity, replaced) else { return .refused(current: there.identity) }
            } else if try self.insert(row) {
                return .applied
            }
            // It was made in between.
            return try self.execute(Self.update(row, replaced)) ? .applied : self.refusal(row)
        case .tombstone(let row):
            if try self.insert(row) { return .applied }
            return try self.execute(Self.bury(row)) ? .applied : .refused(current: nil)
        case .touch(let key, _, _, _, _), .mark(let key, _):
            return present[key.bytes] == nil ? .absent : .refused(current: nil)
        case .confirm, .postpone, .makeDue, .delete:
            return .refused(current: nil)
        }
    }

    /// - Returns: whether it met a row.
    private func execute(_ statement: SQLStatement) throws(DatabaseError) -> Bool {
        try self.connection.execute([statement])[0] > 0
    }

    // MARK: Saves

    /// The assignments of a save, up to `WHERE`. One that is written again, since its answer was lost, counts once.
    private static let assignments = """
        saves = CASE WHEN version = ? AND writer = ? THEN saves ELSE saves + ? END, version = ?, writer = ?, created = ?, written = ?, cookie_issued = ?, idle_seconds = ?, deadline = ?, \
        expires = CASE WHEN expires > ? THEN expires ELSE ? END, due = ?, synced = ?, ancestors = ?, \
        payload = ?
        """

    private static func assignedValues(_ row: SessionRow) -> [SQLValue] {
        let record = row.record
        return self.values(record.identity) + [SQLValue(clamping: row.saves)] + self.values(record.identity) + [
            SQLValue(clamping: record.created), SQLValue(clamping: record.written),
            SQLValue(clamping: record.cookieIssued), .integer(Int64(record.idleSeconds)),
            SQLValue(clamping: record.absoluteDeadline), SQLValue(clamping: row.expires),
            SQLValue(clamping: row.expires),
            SQLValue(clamping: row.due), SQLValue(clamping: row.synced),
            .bytes(self.bytes(record.ancestors)),
            .bytes(record.payload),
        ]
    }

    private static let compareAndSave = """
        UPDATE session_gateway_sessions SET newest = CASE WHEN newest > ? THEN newest ELSE ? END, \(Self.assignments)
        WHERE session_key = ? AND tombstone = 0 AND version = ? AND writer = ?
        """

    private static func compareAndSave(_ row: SessionRow, _ base: WriteIdentity) -> SQLStatement {
        SQLStatement(
            self.compareAndSave,
            [SQLValue(clamping: row.newest), SQLValue(clamping: row.newest)] + self.assignedValues(row)
                + [SQLValue(row.key.bytes)] + self.values(base)
        )
    }

    /// Over the row itself and as many ancestors as there can be: always the same statement.
    private static let update = """
        UPDATE session_gateway_sessions SET newest = CASE WHEN newest > ? THEN newest ELSE ? END, \(Self.assignments)
        WHERE session_key = ? AND tombstone = 0 AND (version < ? OR \(Self.isReplaced))
        """

    private static let isReplaced = Array(
        repeating: "(version = ? AND writer = ?)",
        count: SessionRecord.maximumAncestors + 1
    ).joined(separator: " OR ")

    private static func update(_ row: SessionRow, _ replaced: RowChange.Replaced) -> SQLStatement {
        let newest = SQLValue(clamping: row.newest)
        var identities = [row.record.identity]
        if replaced == .ancestors { identities += row.record.ancestors.prefix(SessionRecord.maximumAncestors) }
        while identities.count <= SessionRecord.maximumAncestors { identities.append(row.record.identity) }
        return SQLStatement(
            self.update,
            [newest, newest] + self.assignedValues(row)
                + [SQLValue(row.key.bytes), SQLValue(clamping: row.bound(replaced))]
                + identities.flatMap { self.values($0) }
        )
    }

    // MARK: Ends

    /// The absolute expiry of a row that is there is known better than by who destroys it.
    private static func bury(_ row: SessionRow) -> SQLStatement {
        let version = SQLValue(clamping: row.record.identity.version)
        let keptUntil = SQLValue(clamping: row.keptUntil)
        return SQLStatement(
            """
            UPDATE session_gateway_sessions SET tombstone = 1, version = CASE WHEN version > ? THEN version ELSE ? END, \
            writer = ?, written = ?, deadline = CASE WHEN deadline > ? THEN deadline ELSE ? END, \
            expires = CASE WHEN deadline > ? THEN deadline ELSE ? END, due = ?, synced = ?, payload = ? WHERE session_key = ?
            """,
            [
                version, version, SQLValue(pattern: row.record.identity.writer), SQLValue(clamping: row.record.written),
                keptUntil, keptUntil, keptUntil, keptUntil, SQLValue(clamping: row.due), SQLValue(clamping: row.synced),
                .bytes(ByteBuffer()),
                SQLValue(row.key.bytes),
            ]
        )
    }
}

extension RowChange {
    /// Whether it has to be known if there is a row where the statement met none.
    fileprivate var mayMeetNoRow: Bool {
        switch self {
        case .upsert, .touch, .mark: true
        case .insert, .compareAndSave, .tombstone, .confirm, .postpone, .makeDue, .delete: false
        }
    }

    fileprivate var payloadBytes: Int { self.row?.record.payload.readableBytes ?? 0 }
}
