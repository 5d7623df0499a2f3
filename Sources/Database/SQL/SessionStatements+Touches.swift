import NIOCore
import Sessions

/// Expiries that have slid: many of them at once, by few round trips.
extension SessionStatements {
    struct Touch {
        let key: SessionKey
        let expires: SessionRecord.Timestamp
        let due: SessionRecord.Timestamp
        let newest: UInt64
        let soon: SessionRecord.Timestamp

        init?(_ change: RowChange) {
            guard case .touch(let key, let expires, let due, let newest, let soon) = change else { return nil }
            (self.key, self.expires, self.due) = (key, expires, due)
            (self.newest, self.soon) = (newest, soon)
        }
    }

    func touch(_ touches: [Touch]) throws(DatabaseError) -> [RowChangeResult] {
        // A row that is due before it expires has had no news for long: that stays so. One that is older than what was read
        // is due soon. MariaDB assigns in this order, and reads what was assigned.
        let counts = try self.connection.execute(
            """
            UPDATE session_gateway_sessions SET \
            due = CASE WHEN version < ? AND due > ? THEN ? WHEN version < ? OR due < expires THEN due ELSE ? END, \
            newest = CASE WHEN newest < ? THEN ? ELSE newest END, \
            expires = CASE WHEN expires < ? THEN ? ELSE expires END
            WHERE session_key = ? AND tombstone = 0 AND (expires < ? OR newest < ?)
            """,
            each: touches.map { touch in
                let (expires, newest) = (SQLValue(clamping: touch.expires), SQLValue(clamping: touch.newest))
                let soon = SQLValue(clamping: touch.soon)
                return [
                    newest, soon, soon, newest, SQLValue(clamping: touch.due), newest, newest, expires, expires,
                    SQLValue(touch.key.bytes), expires, newest,
                ]
            }
        )
        let refused = zip(touches, counts).filter { $1 == 0 }.map(\.0.key.bytes)
        let there = try self.present(refused)
        return zip(touches, counts).map { touch, count in
            if count > 0 { return .applied }
            return there.contains(touch.key.bytes) ? .refused(current: nil) : .absent
        }
    }

    private static let keysAtOnce = 64
    private static let present = """
        SELECT session_key FROM session_gateway_sessions \
        WHERE session_key IN (\(Array(repeating: "?", count: Self.keysAtOnce).joined(separator: ", ")))
        """

    /// Which of these keys have a row.
    private func present(_ keys: [[UInt8]]) throws(DatabaseError) -> Set<[UInt8]> {
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
