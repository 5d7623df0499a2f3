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
            idle_seconds, newest
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
            guard row.count == 13, let key = keyspace.key(ofItem: Array(row[0].buffer.readableBytesView)) else {
                return nil
            }
            return DueRow(
                key: key,
                identity: WriteIdentity(version: row[1].number, writer: row[2].pattern),
                newest: row[12].number,
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

    /// What a row is, without its data.
    struct Present {
        var identity: WriteIdentity
        var isTombstone: Bool
    }

    private static let keysAtOnce = 64
    private static let present = """
        SELECT session_key, version, writer, tombstone FROM session_gateway_sessions \
        WHERE session_key IN (\(Array(repeating: "?", count: Self.keysAtOnce).joined(separator: ", ")))
        """

    /// The rows of these keys that there are, by key; locks none.
    func present(_ keys: [[UInt8]]) throws(DatabaseError) -> [[UInt8]: Present] {
        var present: [[UInt8]: Present] = [:]
        for start in stride(from: 0, to: keys.count, by: Self.keysAtOnce) {
            var asked = Array(keys[start..<min(start + Self.keysAtOnce, keys.count)])
            // Always the same statement.
            while asked.count < Self.keysAtOnce { asked.append(asked[0]) }
            for row in try self.connection.query(Self.present, asked.map { SQLValue($0) }) where row.count == 4 {
                present[Array(row[0].buffer.readableBytesView)] = Present(
                    identity: WriteIdentity(version: row[1].number, writer: row[2].pattern),
                    isTombstone: row[3].integer != 0
                )
            }
        }
        return present
    }

    // MARK: Writing

    func insert(_ row: SessionRow) throws(DatabaseError) -> Bool {
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

    /// What is there instead. A change that was under way when a connection broke finds itself.
    func refusal(_ row: SessionRow) throws(DatabaseError) -> RowChangeResult {
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

    static func values(_ identity: WriteIdentity) -> [SQLValue] {
        [SQLValue(clamping: identity.version), SQLValue(pattern: identity.writer)]
    }

    static func bytes(_ ancestors: [WriteIdentity]) -> ByteBuffer {
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
