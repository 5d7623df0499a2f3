/// A record that was read, with what a save from it needs. It is handed on many times, so it is one object.
package final class LoadedRecord: Sendable {
    package let record: SessionRecord
    /// By position: the tokens of the holders that were read with this record as their last promise.
    package let tokens: [ReplicaToken?]
    /// Whether a position that should hold it was seen without: a background repair is due.
    package let needsRepair: Bool
    /// What its copies had left when they were read; nil where that is not known.
    package let secondsToLive: Int?

    package init(record: SessionRecord, tokens: [ReplicaToken?], needsRepair: Bool, secondsToLive: Int? = nil) {
        self.record = record
        self.tokens = tokens
        self.needsRepair = needsRepair
        self.secondsToLive = secondsToLive
    }

    /// Whether every holder can be written by one compare-and-set.
    var isUnpromised: Bool {
        !self.record.holders.isEmpty
            && self.record.holders.allSatisfy { $0 < self.tokens.count && self.tokens[$0] != nil }
    }
}

/// How an operation ended.
package enum ReplicaOutcome: Sendable {
    /// Load, repair: the chosen record. Save, create: the record as it was written, acknowledged.
    case chosen(LoadedRecord)
    /// There is no session: never was, has expired, or was destroyed.
    case none
    /// Destroy: the tombstone is chosen.
    case destroyed
    /// Save: another write from the same base won, or the session is gone; nobody will ever read this one.
    case discarded(winner: WriteIdentity?)
    /// Save, create, destroy: it may or may not have happened; the next load decides.
    case unknown
    /// Not enough servers answered.
    /// - Parameters:
    ///   - best: of a load the best record that was seen, for degraded service; where it is a tombstone, there is no session
    ///     to serve.
    ///   - mayBeWritten: of a save or creation, whether a server may have got it.
    case unavailable(best: LoadedRecord?, mayBeWritten: Bool = false)
    /// Repair: every server answered, and r or more of them have lost their copy, or cannot keep one: too few are left
    /// to tell what was chosen.
    case beyondRepair
    /// A degraded write reached at least one server.
    case degraded(LoadedRecord)
}
