/// Has memcached hear what the database was told while memcached could not be: that a session is destroyed, or a newer
/// state of it. Any gateway may do it, and several at once. Decides, and does nothing.
///
/// Nobody has asked for the session: its expiry slides only where something is saved, and that it went back is left to be said to
/// whoever comes.
package struct PlaceOperation: Sendable {
    package enum Step: Sendable {
        case loadRow
        case destroyInMemcached
        /// Without sliding the expiry.
        case look
        case save(LoadedRecord, proposal: SessionRecord)
        case write(RowChange)
        /// - Parameter isDone: it could not be asked, or told, otherwise: again later.
        case finish(isDone: Bool)
    }

    package enum Answer: Sendable {
        case row(SessionRow?)
        case destroyed(Bool)
        case seen(SessionLoadOutcome)
        case saved
        /// What the change became; nil where the database did not answer.
        case changed(RowChangeResult?)
        case failed
    }

    private let key: SessionKey
    private var row: SessionRow?
    /// What is being saved.
    private var proposal: SessionRecord?
    /// What the row becomes, where another line counts in memcached.
    private var successor: WriteIdentity?

    package init(key: SessionKey) {
        self.key = key
    }

    package func start() -> Step { .loadRow }

    package mutating func answered(
        _ answer: Answer,
        _ memory: inout TierMemory,
        at now: SessionRecord.Timestamp
    ) -> Step {
        switch answer {
        case .row(let row?):
            self.row = row
            return row.record.isTombstone ? .destroyInMemcached : .look
        case .row(nil):
            memory.placed(self.key)
            return .finish(isDone: true)
        case .destroyed(true):
            return self.placed(&memory, due: self.row?.record.absoluteDeadline ?? SessionRow.dueAtOnce)
        case .seen(.live(let session)) where !session.isDegraded:
            return self.compared(session, &memory, at: now)
        case .seen(.none):
            // Whoever comes asks the database.
            return self.placed(&memory, due: SessionRow.dueAtOnce)
        case .saved:
            guard let proposal, proposal.identity != self.row?.record.identity else {
                return self.placed(&memory, due: self.later(memory, at: now))
            }
            return self.replaced(by: memory.row(proposal, self.key, at: now), &memory)
        case .changed(let result):
            if let successor, result == .applied { memory.question(self.key, successor, at: now) }
            return .finish(isDone: true)
        case .destroyed(false), .seen, .failed:
            return .finish(isDone: false)
        }
    }

    /// What the database was told alone follows what memcached has, or came from a state that somebody else has gone on from:
    /// then memcached's counts, and the row becomes what memcached has. Where the row's version is the higher one, memcached's state
    /// is saved once more above it.
    private mutating func compared(
        _ session: StoredSession,
        _ memory: inout TierMemory,
        at now: SessionRecord.Timestamp
    ) -> Step {
        guard let row, row.record.identity != session.record.identity else {
            return self.placed(&memory, due: self.later(memory, at: now))
        }
        let isHeir = row.mayReplace(session.record.identity, .ancestors)
        guard row.record.identity.version >= session.version else {
            guard !session.record.ancestors.contains(row.record.identity) else {
                return self.placed(&memory, due: self.later(memory, at: now))
            }
            let seconds = session.loaded.secondsToLive.map { UInt64(max(0, $0)) } ?? UInt64(session.record.idleSeconds)
            let expires = now &+ seconds &* 1_000
            return self.replaced(by: memory.row(session.record, self.key, expires: expires, at: now), &memory)
        }
        guard row.isLive(at: now) || !isHeir else {
            // It is over, and what it was made from lives on.
            memory.mayBeSaved(self.key, version: session.version)
            return self.placed(&memory, due: SessionRow.dueAtOnce)
        }
        var proposal = row.record
        if !isHeir {
            proposal = session.record
            proposal.ancestors = session.record.lineage
            proposal.identity = memory.newIdentity(after: row.record.identity.version, at: now)
        }
        self.proposal = proposal
        return .save(session.loaded, proposal: proposal)
    }

    /// Never was the row chosen: it must not look as if, or it could be put over what counts once memcached has forgotten that. It
    /// says that it may be old, until memcached was asked whether somebody has gone on.
    private mutating func replaced(by successor: SessionRow, _ memory: inout TierMemory) -> Step {
        memory.mayBeSaved(self.key, version: successor.record.identity.version)
        memory.placed(self.key)
        guard self.row?.due == SessionRow.unplaced else { return .finish(isDone: true) }
        var successor = successor
        successor.saves = 0
        successor.newest = successor.maybeNewer
        self.successor = successor.record.identity
        return .write(.upsert(successor))
    }

    /// Whatever memcached has beyond the row, some gateway has to write: not before that is the row compared, or it would no
    /// longer say that it is old.
    private func later(_ memory: TierMemory, at now: SessionRecord.Timestamp) -> SessionRecord.Timestamp {
        min(self.row?.expires ?? now, now &+ memory.configuration.reapAfter.wholeMilliseconds)
    }

    private func placed(_ memory: inout TierMemory, due: SessionRecord.Timestamp) -> Step {
        memory.placed(self.key)
        guard let row, row.due == SessionRow.unplaced else { return .finish(isDone: true) }
        // A row that has changed meanwhile is looked at again.
        return .write(.postpone(self.key, row.record.identity, due: due))
    }
}
