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
        /// What the change became, or that the database did not answer.
        case changed
        case failed
    }

    private let key: SessionKey
    private var row: SessionRow?
    /// What is being saved.
    private var proposal: SessionRecord?

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
            memory.mayBeSaved(self.key, version: proposal.identity.version)
            return self.placed(&memory, due: SessionRow.dueAtOnce)
        case .changed:
            return .finish(isDone: true)
        case .destroyed(false), .seen, .failed:
            return .finish(isDone: false)
        }
    }

    /// What the database was told alone follows what memcached has, or came from a state that somebody else has gone on from:
    /// then memcached's counts, and gets a version above the row's, so that the reaper can put it there.
    private mutating func compared(
        _ session: StoredSession,
        _ memory: inout TierMemory,
        at now: SessionRecord.Timestamp
    ) -> Step {
        guard let row, row.isLive(at: now), row.record.identity != session.record.identity,
            row.record.identity.version >= session.version
        else {
            let isOneLine =
                session.record.identity == self.row?.record.identity
                || session.record.ancestors.contains { $0 == self.row?.record.identity }
            if !isOneLine { memory.mayBeSaved(self.key, version: session.version) }
            return self.placed(&memory, due: isOneLine ? self.later(memory, at: now) : SessionRow.dueAtOnce)
        }
        var proposal = row.record
        if !row.mayReplace(session.record.identity, .ancestors) {
            proposal = session.record
            proposal.ancestors = session.record.lineage
            proposal.identity = memory.newIdentity(after: row.record.identity.version, at: now)
        }
        self.proposal = proposal
        return .save(session.loaded, proposal: proposal)
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
