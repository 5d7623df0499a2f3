/// What memcached has of a session, for whoever looks behind the responses: the reaper, and those that write rows.
package enum MemcachedFinding: Sendable {
    /// There is no memcached: the row is all there is, but for expiries that another process has not written yet.
    case alone(patience: SessionRecord.Timestamp)
    case live(SessionRecord, expires: SessionRecord.Timestamp)
    /// Memcached is sure that it has nothing, or a tombstone.
    case none
    /// Memcached cannot tell.
    case unavailable

    /// - Parameters:
    ///   - outcome: of a `look`.
    ///   - now: by the clock of whoever asked.
    package init(_ outcome: ReplicaOutcome, at now: SessionRecord.Timestamp) {
        switch outcome {
        case .chosen(let loaded):
            let seconds = loaded.secondsToLive.map { UInt64(max(0, $0)) } ?? UInt64(loaded.record.idleSeconds)
            self = .live(loaded.record, expires: min(now &+ seconds &* 1_000, loaded.record.absoluteDeadline))
        case .none:
            self = .none
        case .unavailable, .destroyed, .discarded, .unknown, .degraded, .beyondRepair:
            self = .unavailable
        }
    }
}
