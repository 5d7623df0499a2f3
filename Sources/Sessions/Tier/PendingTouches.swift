/// The expiries that were slid in memory and not yet in the database: reads write nothing, many of them together do now
/// and then. At most `limit`; where there are that many, they are due at once, and a session beyond them keeps the expiry
/// that the database has.
package struct PendingTouches: Sendable {
    package static let limit = 65_536

    private var expiries: [SessionKey: SessionRecord.Timestamp] = [:]

    package init() {}

    package var count: Int { self.expiries.count }
    package var isFull: Bool { self.expiries.count >= Self.limit }

    /// Nil: as the database says.
    package func expiry(of key: SessionKey) -> SessionRecord.Timestamp? { self.expiries[key] }

    package mutating func seen(_ key: SessionKey, expires: SessionRecord.Timestamp) {
        if self.isFull, self.expiries[key] == nil { return }
        self.expiries[key] = max(self.expiries[key] ?? 0, expires)
    }

    /// It was written or destroyed: the database knows better.
    package mutating func forget(_ key: SessionKey) {
        self.expiries[key] = nil
    }

    /// What is to be written; it stays here until that is done.
    package func batch(limit: Int) -> [(key: SessionKey, expires: SessionRecord.Timestamp)] {
        self.expiries.prefix(limit).map { ($0.key, $0.value) }
    }

    /// Those that have slid on since stay.
    package mutating func written(_ batch: [(key: SessionKey, expires: SessionRecord.Timestamp)]) {
        for (key, expires) in batch where self.expiries[key] == expires {
            self.expiries[key] = nil
        }
    }
}
