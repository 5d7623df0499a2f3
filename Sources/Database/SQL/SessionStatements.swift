import NIOCore
import Sessions

/// The operations of `SessionDatabase` in SQL, the same for all databases. In the transaction of the caller.
struct SessionStatements {
    let dialect: SQLDialect
    let connection: any SQLConnection

    // MARK: Reading

    private static let columns = """
        version, writer, newest, tombstone, created, written, cookie_issued, idle_seconds, deadline, expires, due, synced, \
        saves, ancestors, payload
        """

    /// Those of every request are put together once.
    private static let load = "SELECT \(Self.columns) FROM session_gateway_sessions WHERE session_key = ?"

    func load(_ key: SessionKey) throws(DatabaseError) -> SessionRow? {
        let rows = try self.connection.query(Self.load, [SQLValue(key.bytes)])
        guard let row = rows.first, row.count == 15 else { return nil }
        return SessionRow(
            key: key,
            record: SessionRecord(
                identity: WriteIdentity(version: row[0].number, writer: row[1].pattern),
                ancestors: Self.ancestors(row[13].buffer),
                isTombstone: row[3].integer != 0,
                created: row[4].number,
                written: row[5].number,
                databaseSynced: row[11].number,
                cookieIssued: row[6].number,
                idleSeconds: UInt32(clamping: row[7].integer),
                absoluteDeadline: row[8].number,
                payload: row[14].buffer
            ),
            expires: row[9].number,
            due: row[10].number,
            synced: row[11].number,
            newest: row[2].number,
            saves: row[12].number
        )
    }

    func due(
        _ keyspace: SessionKeyspace,
        at now: SessionRecord.Timestamp,
        after cursor: DueCursor?,
        limit: Int
    ) throws(DatabaseError) -> [DueRow] {
        let columns = """
            session_key, version, writer, tombstone, created, written, expires, deadline, due, saves, LENGTH(payload), \
            idle_seconds
            """
        let rows: [[SQLValue]]
        if let cursor {
            let due = SQLValue(clamping: cursor.due)
            rows = try self.connection.query(
                """
                SELECT \(columns) FROM session_gateway_sessions
                WHERE keyspace = ? AND due <= ? AND due >= ? AND (due > ? OR session_key > ?)
                ORDER BY keyspace, due, session_key LIMIT ?
                """,
                [
                    SQLValue(keyspace.bytes), SQLValue(clamping: now), due, due, SQLValue(cursor.key),
                    .integer(Int64(limit)),
                ]
            )
        } else {
            rows = try self.connection.query(
                """
                SELECT \(columns) FROM session_gateway_sessions
                WHERE keyspace = ? AND due <= ? ORDER BY keyspace, due, session_key LIMIT ?
                """,
                [SQLValue(keyspace.bytes), SQLValue(clamping: now), .integer(Int64(limit))]
            )
        }
        return rows.compactMap { row in
            // A key that is none of this keyspace's cannot have been written by a gateway.
            guard row.count == 12, let key = keyspace.key(ofItem: Array(row[0].buffer.readableBytesView)) else {
                return nil
            }
            return DueRow(
                key: key,
                identity: WriteIdentity(version: row[1].number, writer: row[2].pattern),
                isTombstone: row[3].integer != 0,
                created: row[4].number,
                written: row[5].number,
                expires: row[6].number,
                seen: max(row[5].number, row[6].number &- min(row[6].number, row[11].number &* 1_000)),
                absoluteDeadline: row[7].number,
                due: row[8].number,
                saves: row[9].number,
                size: Int(row[10].integer)
            )
        }
    }

    func dueCount(_ keyspace: SessionKeyspace, at now: SessionRecord.Timestamp) throws(DatabaseError) -> Int {
        let rows = try self.connection.query(
            "SELECT COUNT(*) FROM session_gateway_sessions WHERE keyspace = ? AND due <= ?",
            [SQLValue(keyspace.bytes), SQLValue(clamping: now)]
        )
        return Int(rows.first?.first?.integer ?? 0)
    }

    // MARK: Writing

    /// In their order; expiries, of which there are many, by few round trips.
    func apply(_ changes: [RowChange]) throws(DatabaseError) -> [RowChangeResult] {
        let touches = changes.compactMap { Touch($0) }
        if touches.count == changes.count { return try self.touch(touches) }
        var results: [RowChangeResult] = []
        for change in changes { results.append(try self.apply(change)) }
        return results
    }

    private func apply(_ change: RowChange) throws(DatabaseError) -> RowChangeResult {
        switch change {
        case .insert(let row):
            return try self.insert(row) ? .applied : self.refusal(row)
        case .compareAndSave(let row, let base):
            return try self.compareAndSave(row, base) > 0 ? .applied : self.refusal(row)
        case .upsert(let row, let replaced):
            return try self.upsert(row, replaced)
        case .tombstone(let row):
            return try self.tombstone(row)
        case .touch:
            return try self.touch([change].compactMap { Touch($0) })[0]
        case .mark(let key, let newest):
            let newest = SQLValue(clamping: newest)
            return try self.result(
                "UPDATE session_gateway_sessions SET newest = ? WHERE session_key = ? AND tombstone = 0 AND newest < ?",
                [newest, SQLValue(key.bytes), newest]
            )
        case .postpone(let key, let identity, let due):
            return try self.result(
                "UPDATE session_gateway_sessions SET due = ? WHERE session_key = ? AND version = ? AND writer = ?",
                [SQLValue(clamping: due), SQLValue(key.bytes)] + Self.values(identity)
            )
        case .delete(let key, let identity, let dueBefore):
            return try self.result(
                """
                DELETE FROM session_gateway_sessions
                WHERE session_key = ? AND version = ? AND writer = ? AND due <= ?
                """,
                [SQLValue(key.bytes)] + Self.values(identity) + [SQLValue(clamping: dueBefore)]
            )
        }
    }

    private func result(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> RowChangeResult {
        try self.connection.execute(sql, values) > 0 ? .applied : .refused(current: nil)
    }

    private func insert(_ row: SessionRow) throws(DatabaseError) -> Bool {
        let record = row.record
        return try self.connection.insert(
            """
            INSERT INTO session_gateway_sessions (session_key, keyspace, \(Self.columns))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)\(self.dialect.unlessTaken)
            """,
            [
                SQLValue(row.key.bytes), SQLValue(row.key.keyspaceBytes), SQLValue(clamping: record.identity.version),
                SQLValue(pattern: record.identity.writer), SQLValue(clamping: row.newest),
                .integer(record.isTombstone ? 1 : 0), SQLValue(clamping: record.created),
                SQLValue(clamping: record.written), SQLValue(clamping: record.cookieIssued),
                .integer(Int64(record.idleSeconds)), SQLValue(clamping: record.absoluteDeadline),
                SQLValue(clamping: row.expires), SQLValue(clamping: row.due), SQLValue(clamping: row.synced),
                SQLValue(clamping: row.saves), .bytes(Self.bytes(record.ancestors)), .bytes(record.payload),
            ]
        )
    }

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

    private func compareAndSave(_ row: SessionRow, _ base: WriteIdentity) throws(DatabaseError) -> Int {
        try self.connection.execute(
            Self.compareAndSave,
            [SQLValue(clamping: row.newest), SQLValue(clamping: row.newest)] + Self.assignedValues(row)
                + [SQLValue(row.key.bytes)] + Self.values(base)
        )
    }

    private func upsert(_ row: SessionRow, _ replaced: RowChange.Replaced) throws(DatabaseError) -> RowChangeResult {
        if try self.update(row, replaced) { return .applied }
        if try self.insert(row) { return .applied }
        // It may have been made in between.
        if try self.update(row, replaced) { return .applied }
        return try self.refusal(row)
    }

    /// The row itself and as many ancestors as there can be: always the same statement.
    private static let isReplaced = Array(
        repeating: "(version = ? AND writer = ?)",
        count: SessionRecord.maximumAncestors + 1
    ).joined(separator: " OR ")

    private func update(_ row: SessionRow, _ replaced: RowChange.Replaced) throws(DatabaseError) -> Bool {
        let newest = SQLValue(clamping: row.newest)
        var identities = [row.record.identity]
        if replaced == .ancestors { identities += row.record.ancestors.prefix(SessionRecord.maximumAncestors) }
        while identities.count <= SessionRecord.maximumAncestors { identities.append(row.record.identity) }
        return try self.connection.execute(
            """
            UPDATE session_gateway_sessions SET newest = CASE WHEN newest > ? THEN newest ELSE ? END, \
            \(Self.assignments)
            WHERE session_key = ? AND tombstone = 0 AND (version < ? OR \(Self.isReplaced))
            """,
            [newest, newest] + Self.assignedValues(row)
                + [SQLValue(row.key.bytes), SQLValue(clamping: row.bound(replaced))]
                + identities.flatMap { Self.values($0) }
        ) > 0
    }

    private func tombstone(_ row: SessionRow) throws(DatabaseError) -> RowChangeResult {
        if try self.bury(row) { return .applied }
        if try self.insert(row) { return .applied }
        return try self.bury(row) ? .applied : .refused(current: nil)
    }

    /// The absolute expiry of a row that is there is known better than by who destroys it.
    private func bury(_ row: SessionRow) throws(DatabaseError) -> Bool {
        let version = SQLValue(clamping: row.record.identity.version)
        let keptUntil = SQLValue(clamping: row.keptUntil)
        return try self.connection.execute(
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
        ) > 0
    }

    /// What is there instead. A change that was under way when a connection broke finds itself.
    private func refusal(_ row: SessionRow) throws(DatabaseError) -> RowChangeResult {
        let found = try self.connection.query(
            "SELECT version, writer, tombstone FROM session_gateway_sessions WHERE session_key = ?",
            [SQLValue(row.key.bytes)]
        )
        guard let current = found.first, current.count == 3, current[2].integer == 0 else {
            return .refused(current: nil)
        }
        let identity = WriteIdentity(version: current[0].number, writer: current[1].pattern)
        return identity == row.record.identity ? .applied : .refused(current: identity)
    }

    // MARK: Values

    private static func values(_ identity: WriteIdentity) -> [SQLValue] {
        [SQLValue(clamping: identity.version), SQLValue(pattern: identity.writer)]
    }

    private static func bytes(_ ancestors: [WriteIdentity]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for ancestor in ancestors.prefix(SessionRecord.maximumAncestors) {
            bytes.writeMultipleIntegers(ancestor.version, ancestor.writer)
        }
        return bytes
    }

    private static func ancestors(_ bytes: ByteBuffer) -> [WriteIdentity] {
        var bytes = bytes
        var ancestors: [WriteIdentity] = []
        while ancestors.count < SessionRecord.maximumAncestors,
            let (version, writer) = bytes.readMultipleIntegers(as: (UInt64, UInt64).self)
        {
            ancestors.append(WriteIdentity(version: version, writer: writer))
        }
        return ancestors
    }
}
