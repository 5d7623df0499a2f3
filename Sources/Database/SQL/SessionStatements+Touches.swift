import NIOCore
import Sessions

/// Expiries that have slid.
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

    private static let keysAtOnce = 64
    private static let present = """
        SELECT session_key FROM session_gateway_sessions \
        WHERE session_key IN (\(Array(repeating: "?", count: Self.keysAtOnce).joined(separator: ", ")))
        """

    /// Which of these keys have a row.
    func present(_ keys: [[UInt8]]) throws(DatabaseError) -> Set<[UInt8]> {
        var there: Set<[UInt8]> = []
        for start in stride(from: 0, to: keys.count, by: Self.keysAtOnce) {
            var asked = Array(keys[start..<min(start + Self.keysAtOnce, keys.count)])
            // Always the same statement.
            while asked.count < Self.keysAtOnce { asked.append(asked[0]) }
            for row in try self.connection.query(Self.present, asked.map { SQLValue($0) }) {
                there.insert(Array(row[0].buffer.readableBytesView))
            }
        }
        return there
    }
}
