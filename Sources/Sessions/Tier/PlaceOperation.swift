/// Has memcached hear what the database was told while memcached could not be: that a session is destroyed, or a newer
/// state of it. Any gateway may do it, and several at once. Decides, and does nothing.
package struct PlaceOperation: Sendable {
    package enum Step: Sendable {
        case loadRow
        case destroyInMemcached
        /// A load compares the two, and saves in memcached what was made of what is there.
        case load
        case write(RowChange)
        /// - Parameter isDone: it could not be asked, or told, otherwise: again later.
        case finish(isDone: Bool)
    }

    package enum Answer: Sendable {
        case row(SessionRow?)
        case destroyed(Bool)
        case loaded(SessionLoadOutcome)
        /// What the change became, or that the database did not answer.
        case changed
        case failed
    }

    private let key: SessionKey
    private var row: SessionRow?

    package init(key: SessionKey) {
        self.key = key
    }

    package func start() -> Step { .loadRow }

    package mutating func answered(
        _ answer: Answer,
        _ memory: inout TierMemory
    ) -> Step {
        switch answer {
        case .row(let row?):
            self.row = row
            if row.record.isTombstone { return .destroyInMemcached }
            memory.adopt(self.key)
            return .load
        case .row(nil):
            memory.placed(self.key)
            return .finish(isDone: true)
        case .destroyed(true):
            return self.placed(&memory, due: self.row?.record.absoluteDeadline ?? SessionRow.dueAtOnce)
        case .loaded(.live(let session)) where !session.isDegraded:
            return self.placed(&memory, due: SessionRow.dueAtOnce)
        case .loaded(.none):
            return self.placed(&memory, due: SessionRow.dueAtOnce)
        case .changed:
            return .finish(isDone: true)
        case .destroyed(false), .loaded, .failed:
            return .finish(isDone: false)
        }
    }

    private func placed(_ memory: inout TierMemory, due: SessionRecord.Timestamp) -> Step {
        memory.placed(self.key)
        guard let row, row.due == SessionRow.unplaced else { return .finish(isDone: true) }
        // A row that has changed meanwhile is looked at again.
        return .write(.postpone(self.key, row.record.identity, due: due))
    }
}
