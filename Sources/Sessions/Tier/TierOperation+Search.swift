import NIOCore

/// A session that memcached does not have, or cannot be asked for: the newest state that is left of it.
extension TierOperation {
    /// It never was, has expired, was destroyed, or was forgotten; or memcached cannot be asked.
    mutating func search(
        isAlone: Bool,
        _ client: ByteBufferView?,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        if memory.queue.waiting(self.key) == nil {
            self.look = memory.admit(client, at: moment.now)
            guard self.look != nil else {
                memory.counts.limited += 1
                return self.endLoad(.limited)
            }
        }
        self.state = .searching(isAlone: isAlone)
        return .loadRow
    }

    /// The newest state that this process or the database has.
    /// - Parameter isLost: memcached has nothing, and so nothing either of what another gateway may have saved on top of it.
    func newest(_ row: SessionRow?, _ memory: TierMemory, isLost: Bool = false) -> SessionRow? {
        let waiting = memory.queue.waiting(self.key)
        guard var newest = row ?? waiting else { return nil }
        if let waiting, let row, !row.record.isTombstone,
            waiting.record.isTombstone || waiting.mayReplace(row.record.identity, .ancestors)
        {
            // What waits here was made from the row: nothing is lost, unless somebody else has acknowledged more.
            newest = waiting
            newest.newest = max(row.newest, waiting.newest)
        }
        if isLost, !newest.record.isTombstone, memory.queue.hasRival(self.key, newest.record.identity.version) {
            newest.newest = max(newest.newest, newest.maybeNewer)
        }
        // It may have slid since the database was told.
        newest.expires = max(newest.expires, memory.touches.expiry(of: self.key) ?? 0)
        return newest
    }

    mutating func found(
        _ row: SessionRow?,
        isAlone: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        guard let newest = self.newest(row, memory, isLost: !isAlone) else {
            // Where nobody can be asked, it may be in memcached.
            return self.endLoad(isAlone ? .unavailable : .none)
        }
        // While memcached cannot be asked nobody knows whether the newer state is lost: `degraded` says enough.
        guard newest.hasGoneBack, !isAlone, newest.isLive(at: moment.now) else {
            return self.serve(newest, isAlone: isAlone, &memory, moment)
        }
        // It may have been acknowledged after memcached was asked.
        self.state = .makingSure(row, waiting: memory.queue.waiting(self.key)?.record.identity)
        return .loadReplicas
    }

    /// Whether what waits here was acknowledged after memcached had been asked, so that its answer says nothing about that.
    func isSaved(since waiting: WriteIdentity?, _ memory: TierMemory) -> Bool {
        memory.queue.waiting(self.key).map { !$0.record.isTombstone && $0.record.identity != waiting } ?? false
    }

    /// Acknowledged states are lost. Whoever still has one of them must not put it over what is made from here on: the row
    /// gets a version above them all, and that is what goes on. Of several gateways one does that, and says that the session
    /// went back.
    /// - Parameters:
    ///   - base: the row; nil where there is none yet.
    ///   - session: what memcached has, if it has anything.
    mutating func goBack(
        to newest: SessionRow,
        over base: WriteIdentity?,
        besides session: StoredSession? = nil,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        var next = newest
        next.record.ancestors = newest.record.lineage
        next.record.identity = memory.newIdentity(
            after: max(newest.newest, newest.record.identity.version),
            at: moment.now
        )
        next.newest = next.record.identity.version
        // Until memcached has taken it, somebody may go on from what that has.
        if session != nil { next.due = SessionRow.unplaced }
        // Whoever saves after this finds out by it that the row has been written.
        next.record.databaseSynced = moment.now
        next.synced = moment.now
        // The row counts its own.
        if memory.queue.waiting(self.key)?.record.identity != newest.record.identity { next.saves = 0 }
        self.state = .goingBack(newest, over: session)
        return self.write(base.map { .compareAndSave(next, base: $0) } ?? .insert(next))
    }

    mutating func wentBack(
        _ row: SessionRow,
        over session: StoredSession?,
        _ answer: Answer,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        switch answer {
        case .changed(.applied):
            guard let change, let next = change.row else { return self.endLoad(.unavailable) }
            memory.written(change)
            memory.counts.reverted += 1
            if let session { return self.place(next, over: session, hasGoneBack: true) }
            return self.serve(next, hasGoneBack: true, isAlone: false, &memory, moment)
        case .changed(.refused):
            // Somebody else did it, or destroyed the session.
            return self.searchAgain(inMemcached: session != nil)
        default:
            memory.counts.reverted += 1
            // It may be said once more.
            guard var session else { return self.serve(row, hasGoneBack: true, isAlone: false, &memory, moment) }
            session.hasGoneBack = true
            return self.live(session, &memory, moment)
        }
    }

    mutating func searchAgain(inMemcached: Bool = false) -> Step {
        self.searches += 1
        guard self.searches < Self.maximumSearches else { return self.endLoad(.unavailable) }
        self.state = inMemcached ? .askingMemcached : .searching(isAlone: false)
        return inMemcached ? .loadReplicas : .loadRow
    }

    mutating func serve(
        _ row: SessionRow,
        hasGoneBack: Bool = false,
        isAlone: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        if row.record.isTombstone { return isAlone ? self.leaveWord(row, &memory) : self.endLoad(.none) }
        // Its expiry may have slid since, where nobody can be asked.
        guard row.isLive(at: moment.now) else { return self.endLoad(isAlone ? .unavailable : .none) }
        if isAlone { return self.served(row, hasGoneBack: hasGoneBack, &memory, moment) }
        self.state = .restoring(row, hasGoneBack: hasGoneBack)
        return .restore(row.record)
    }

    /// The session is destroyed, and memcached may have it still: that it is gone is said only when every gateway will hear
    /// of it.
    private mutating func leaveWord(_ row: SessionRow, _ memory: inout TierMemory) -> Step {
        guard row.due != SessionRow.unplaced, memory.queue.waiting(self.key)?.record.isTombstone != true else {
            return self.endLoad(.none)
        }
        var word = row
        word.due = SessionRow.unplaced
        self.state = .leavingWord(word)
        return self.write(.tombstone(word), isDurable: true)
    }

    mutating func restored(
        _ row: SessionRow,
        hasGoneBack: Bool,
        _ outcome: SessionLoadOutcome,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        switch outcome {
        case .live(var session):
            memory.counts.restored += 1
            memory.compared(self.key)
            memory.seen(session.record, self.key, at: moment.now)
            session.hasGoneBack = hasGoneBack && session.record.identity == row.record.identity
            return self.endLoad(.live(session))
        case .none:
            // Destroyed there, and the database does not know it yet.
            memory.buriedInMemcached(memory.tombstone(self.key, at: moment.now), at: moment.now)
            return self.endLoad(.none)
        case .unavailable, .limited:
            memory.memcachedWasAway()
            if memory.configuration.servesDegraded {
                return self.served(row, hasGoneBack: hasGoneBack, &memory, moment)
            }
            guard hasGoneBack else { return self.endLoad(.unavailable) }
            // It is still to be said.
            self.state = .markingLoss
            return self.write(.mark(self.key, newest: row.maybeNewer))
        }
    }
}
