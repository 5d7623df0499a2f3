/// How long memcached shall keep what is written.
package enum CopyLifetime: Sendable, Hashable {
    /// The session's idle duration, cut by its absolute expiry and by `max_item_age`.
    case idle
    /// What was left of it where it was read; nil for a copy that never expires. Zero is less than a second.
    case remaining(seconds: Int?)
    /// Of a stub, which only has to outlive every message: one hour, or what is left of it if that is more.
    case promise(seconds: Int?)
    /// Longer than any copy of the session: 24 hours, and as long as it could be taken over from another store.
    case tombstone

    /// Tombstones outlive every copy of the session (`max_item_age` is at most 23 h).
    package static let tombstoneSeconds = 24 * 3_600
    /// Promises outlive every message (TCP_USER_TIMEOUT, 15 minutes at most).
    package static let promiseSeconds = 3_600

    /// What memcached is told.
    /// - Parameters:
    ///   - record: what is written; nil for a stub.
    ///   - maximumItemAge: seconds.
    ///   - tombstonesUntil: no tombstone goes before.
    package func seconds(
        of record: SessionRecord?,
        now: SessionRecord.Timestamp,
        maximumItemAge: Int,
        tombstonesUntil: SessionRecord.Timestamp = 0
    ) -> Int {
        switch self {
        case .idle:
            guard let record else { return Self.promiseSeconds }
            let untilDeadline = record.absoluteDeadline > now ? (record.absoluteDeadline - now + 999) / 1_000 : 1
            return min(Int(record.idleSeconds), Int(clamping: untilDeadline), maximumItemAge)
        case .remaining(let seconds):
            return seconds ?? maximumItemAge
        case .promise(let seconds):
            return max(seconds ?? 0, Self.promiseSeconds)
        case .tombstone:
            let rest = tombstonesUntil > now ? (tombstonesUntil - now + 999) / 1_000 : 0
            return max(Self.tombstoneSeconds, Int(clamping: rest))
        }
    }
}
