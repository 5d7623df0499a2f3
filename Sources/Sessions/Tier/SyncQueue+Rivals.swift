/// Sessions that another gateway has saved since the row was written: it may have something newer than what is written from here,
/// and be dead. So the row says that it may be old until memcached has said that it is not.
extension SyncQueue {
    mutating func question(_ key: SessionKey, _ identity: WriteIdentity) {
        if self.questions.count < Self.maximumQuestions { self.questions[key] = identity }
    }

    mutating func forgetQuestion(_ key: SessionKey) {
        self.questions[key] = nil
        self.confirmed[key] = nil
    }

    /// What memcached is to be asked for, and what was written of it. Others each time, so that none that cannot be answered keeps
    /// the rest waiting.
    /// - Parameter chance: any number.
    package func toAsk(limit: Int, from chance: Int) -> [(key: SessionKey, written: WriteIdentity)] {
        guard !self.questions.isEmpty else { return [] }
        let start = chance % self.questions.count
        let rest = Array(self.questions.dropFirst(start).prefix(limit))
        return (rest + self.questions.prefix(min(limit - rest.count, start))).map { ($0.key, $0.value) }
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
