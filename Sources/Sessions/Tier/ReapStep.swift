/// What becomes of a due row. Decides, and does nothing.
package enum ReapStep: Sendable, Equatable {
    /// It has ended for certain.
    case delete
    /// It lives in memcached: the row learns how.
    case refresh(SessionRecord, expires: SessionRecord.Timestamp)
    /// It is looked at again then.
    case postpone(SessionRecord.Timestamp)
    /// Memcached has not what the row says: that is for the gateways to tell it.
    case leave

    package static func step(
        for row: DueRow,
        _ finding: MemcachedFinding,
        at now: SessionRecord.Timestamp,
        _ tier: TierConfiguration
    ) -> ReapStep {
        // A tombstone stays for as long as the session could have lived.
        if row.isTombstone, row.absoluteDeadline <= now { return .delete }
        if row.due == SessionRow.unplaced, row.isTombstone || row.expires > now { return .leave }
        if row.isTombstone { return .postpone(row.absoluteDeadline) }
        if row.due == SessionRow.unplaced {
            // Another due says that memcached has heard of it: the gateways see to that, were it over.
            switch finding {
            case .live, .unavailable: return .leave
            case .none, .alone: break
            }
        }
        switch finding {
        case .alone(let patience):
            return row.expires &+ patience <= now ? .delete : .postpone(row.expires &+ patience)
        case .live(let record, let expires):
            return .refresh(record, expires: expires)
        case .none:
            // Forgotten by memcached and not expired: it is put back when its visitor comes.
            return min(row.expires, row.absoluteDeadline) <= now ? .delete : .postpone(row.expires)
        case .unavailable:
            return .postpone(now &+ min(tier.reapAfter.wholeMilliseconds, 60_000))
        }
    }

    /// What is to be done with the row; nil: nothing.
    package func change(
        of row: DueRow,
        at now: SessionRecord.Timestamp,
        _ tier: TierConfiguration
    ) -> RowChange? {
        switch self {
        case .delete:
            return .delete(row.key, row.identity, dueBefore: row.due, expiresBefore: row.expires)
        case .refresh(let record, let expires):
            let due = min(max(expires, now &+ 1_000), now &+ tier.reapAfter.wholeMilliseconds)
            var refreshed = SessionRow(key: row.key, record: record, expires: expires, due: due, synced: now, saves: 0)
            // The gateway that has it to write, if it lives, takes the row for older than what it saves next.
            if record.identity != row.identity { refreshed.newest = refreshed.maybeNewer }
            return .upsert(refreshed)
        case .postpone(let due):
            return .postpone(row.key, row.identity, due: max(due, now &+ 1_000))
        case .leave:
            return nil
        }
    }

    /// The row is what the database knows better than memcached, written while that was away: not at every pass again.
    package static func afterwards(
        _ change: RowChange,
        _ result: RowChangeResult?,
        at now: SessionRecord.Timestamp,
        _ tier: TierConfiguration
    ) -> RowChange? {
        guard case .upsert = change, case .refused(let current?) = result else { return nil }
        return .postpone(change.key, current, due: now &+ tier.reapAfter.wholeMilliseconds)
    }

    /// - Returns: what the row is now, where it says that it may be old, and the gateway that should ask is gone, or is none: for
    ///   `TierMemory.question`.
    package static func inQuestion(
        _ row: DueRow,
        after change: RowChange,
        _ result: RowChangeResult?
    ) -> WriteIdentity? {
        guard case .upsert(let refreshed, _) = change, result == .applied,
            max(row.newest, refreshed.newest) == refreshed.maybeNewer
        else { return nil }
        return refreshed.record.identity
    }
}
