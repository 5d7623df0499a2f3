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
}
