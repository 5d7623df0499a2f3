/// The expiries that were slid in memory and not yet in the database: reads write nothing, many of them together do now
/// and then. At most `limit`; where there are that many, they are due at once, and a session beyond them keeps the expiry
/// that the database has.
///
/// With each goes the version that was read: a gateway that was killed cannot tell what its queue had, and whoever reads it can.
package struct PendingTouches: Sendable {
    package static let limit = 65_536

    package typealias Touch = (key: SessionKey, expires: SessionRecord.Timestamp, newest: UInt64)

    private struct Entry: Sendable {
        var expires: SessionRecord.Timestamp
        var newest: UInt64
        /// Since when it waits.
        var since: SessionRecord.Timestamp
    }

    private var entries: [SessionKey: Entry] = [:]

    package init() {}

    package var count: Int { self.entries.count }
    package var isFull: Bool { self.entries.count >= Self.limit }

    /// Nil: as the database says.
    package func expiry(of key: SessionKey) -> SessionRecord.Timestamp? { self.entries[key]?.expires }

    /// How long the one that has waited longest does.
    package func lag(at now: SessionRecord.Timestamp) -> SessionRecord.Timestamp {
        now - min(self.entries.values.map(\.since).min() ?? now, now)
    }

    /// - Parameter newest: the version that was read; 0 where it is not known to have been acknowledged.
    package mutating func seen(
        _ key: SessionKey,
        expires: SessionRecord.Timestamp,
        newest: UInt64 = 0,
        at now: SessionRecord.Timestamp
    ) {
        guard let entry = self.entries[key] else {
            if !self.isFull { self.entries[key] = Entry(expires: expires, newest: newest, since: now) }
            return
        }
        self.entries[key] = Entry(
            expires: max(entry.expires, expires),
            newest: max(entry.newest, newest),
            since: entry.since
        )
    }

    /// It was written or destroyed: the database knows better.
    package mutating func forget(_ key: SessionKey) {
        self.entries[key] = nil
    }

    /// What is to be written; it stays here until that is done.
    package func batch(limit: Int) -> [Touch] {
        self.entries.prefix(limit).map { ($0.key, $0.value.expires, $0.value.newest) }
    }

    /// All that waits now, to be written `size` at a time. What slides on meanwhile is for the next pass: this one ends,
    /// however many sessions are asked for beside it.
    package func pass(by size: Int) -> [[Touch]] {
        let all = self.batch(limit: .max)
        return stride(from: 0, to: all.count, by: size).map { Array(all[$0..<min($0 + size, all.count)]) }
    }

    /// Those that have slid on since stay.
    package mutating func written(_ batch: [Touch]) {
        for touch in batch {
            guard let entry = self.entries[touch.key], entry.expires == touch.expires, entry.newest == touch.newest
            else {
                continue
            }
            self.entries[touch.key] = nil
        }
    }
}
