import NIOCore
import Sessions

/// Expiries that have slid, and which rows there are.
extension SessionStatements {
    /// A row that is due before it expires has had no news for long: that stays so. One that is older than what was read is
    /// due soon. MariaDB assigns in this order, and reads what was assigned.
    private static let touch = """
        UPDATE session_gateway_sessions SET \
        due = CASE WHEN version < ? AND due > ? THEN ? WHEN version < ? OR due < expires THEN due ELSE ? END, \
        newest = CASE WHEN newest < ? THEN ? ELSE newest END, \
        expires = CASE WHEN expires < ? THEN ? ELSE expires END
        WHERE session_key = ? AND tombstone = 0 AND (expires < ? OR newest < ?)
        """

    /// - Parameters: as of `RowChange.touch`.
    static func touch(
        _ key: SessionKey,
        expires: SessionRecord.Timestamp,
        due: SessionRecord.Timestamp,
        newest: UInt64,
        soon: SessionRecord.Timestamp
    ) -> SQLStatement {
        let (expires, newest) = (SQLValue(clamping: expires), SQLValue(clamping: newest))
        let soon = SQLValue(clamping: soon)
        return SQLStatement(
            self.touch,
            [
                newest, soon, soon, newest, SQLValue(clamping: due), newest, newest, expires, expires,
                SQLValue(key.bytes), expires, newest,
            ]
        )
    }

    // MARK: Which rows there are

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
}
