import DequeModule

/// Sessions that another gateway has saved since the row was written: it may have something newer than what is written from here,
/// and be dead. So the row says that it may be old until memcached has said that it is not.
///
/// That is asked an interval after the row was written. Whoever had saved the session before may go on from it until then by its
/// own clock without seeing that there is a row to be told; whoever does so later sees it.
extension SyncQueue {
    struct Question: Sendable {
        var key: SessionKey
        var written: WriteIdentity
        var from: SessionRecord.Timestamp
    }

    mutating func question(_ key: SessionKey, _ identity: WriteIdentity, from time: SessionRecord.Timestamp) {
        guard self.questions.count < Self.maximumQuestions, self.asking.count < 2 * Self.maximumQuestions else {
            return
        }
        self.questions[key] = identity
        self.asking.append(Question(key: key, written: identity, from: time))
    }

    mutating func forgetQuestion(_ key: SessionKey) {
        self.questions[key] = nil
        self.confirmed[key] = nil
    }

    /// What memcached is to be asked for now, and what was written of it. For each `answered` or `unanswered`.
    package mutating func toAsk(
        limit: Int,
        at now: SessionRecord.Timestamp
    ) -> [(key: SessionKey, written: WriteIdentity)] {
        var asked: [(key: SessionKey, written: WriteIdentity)] = []
        while asked.count < limit, let next = self.asking.first, next.from <= now {
            self.asking.removeFirst()
            if self.questions[next.key] == next.written { asked.append((next.key, next.written)) }
        }
        return asked
    }

    package var questionCount: Int { self.questions.count + self.confirmed.count }

    /// Where memcached has less than was written there may have been more.
    /// - Parameter found: what memcached has; nil where it has nothing.
    package mutating func answered(_ key: SessionKey, _ written: WriteIdentity, found: WriteIdentity?) {
        guard self.questions[key] == written else { return }
        self.questions[key] = nil
        if found == written {
            self.confirmed[key] = written
        } else if let found, found.version > written.version {
            self.mayHave(key, newest: found.version)
        }
    }

    /// It is asked again, after the others.
    package mutating func unanswered(_ key: SessionKey, _ written: WriteIdentity, at now: SessionRecord.Timestamp) {
        guard self.questions[key] == written else { return }
        self.asking.append(Question(key: key, written: written, from: now))
    }

    mutating func takeConfirmed(limit: Int) -> [RowChange] {
        let taken = self.confirmed.prefix(limit)
        for (key, _) in taken { self.confirmed[key] = nil }
        return taken.map { .confirm($0.key, $0.value) }
    }

    /// Whether another gateway may have saved something newer than this version, which waits here.
    package func hasRival(_ key: SessionKey, _ version: UInt64) -> Bool {
        guard let entry = self.entries[key] else { return false }
        return entry.hasRival && entry.row.record.identity.version == version
    }
}
