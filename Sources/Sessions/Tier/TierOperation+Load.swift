import NIOCore

extension TierOperation {
    mutating func loadAnswered(
        _ answer: Answer,
        _ client: ByteBufferView?,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        self.settleLook(answer, &memory, moment)
        switch (self.state, answer) {
        case (.askingMemcached, .loaded(let outcome)):
            return self.memcachedAnswered(outcome, client, &memory, moment)
        case (.askingAgain(let row), .loaded(.live(let session))):
            return self.compared(session, row, isAgain: true, &memory, moment)
        case (.makingSure(let row), .loaded(.none)):
            guard let newest = self.newest(row, memory, isLost: true) else { return self.searchAgain() }
            // It may have been destroyed here meanwhile, and the database could not be told.
            guard newest.hasGoneBack, newest.isLive(at: moment.now) else {
                return self.serve(newest, isAlone: false, &memory, moment)
            }
            return self.goBack(to: newest, over: row?.record.identity, &memory, moment)
        case (.askingAgain, .loaded(let outcome)), (.makingSure, .loaded(let outcome)):
            return self.memcachedAnswered(outcome, client, &memory, moment)
        case (.comparing(let session), .row(let row)):
            return self.compared(session, row, isAgain: false, &memory, moment)
        case (.comparing(let session), .failed):
            // Requests go on from memcached: unless it has just forgotten much, and what too few servers have left may be older
            // than what the database has alone. Who went on from that would put it over the newer state.
            if session.isDegraded, memory.hasForgotten(at: moment.now) { return self.endLoad(.unavailable) }
            return self.live(session, &memory, moment)
        case (.placing(_, let hasGoneBack), .written(.saved(var session))):
            memory.compared(self.key)
            session.hasGoneBack = hasGoneBack
            return self.live(session, &memory, moment)
        case (.placing(_, hasGoneBack: false), .written(.discarded)):
            // Somebody has gone on from what memcached had.
            return self.searchAgain(inMemcached: true)
        case (.placing(let row, let hasGoneBack), _):
            return self.served(row, hasGoneBack: hasGoneBack, &memory, moment)
        case (.burying(let row), .buried(let isInMemcached, let isInDatabase)):
            if isInDatabase { memory.written(.tombstone(row)) }
            if isInMemcached { memory.buried(row) }
            return self.endLoad(isInMemcached || isInDatabase ? .none : .unavailable)
        case (.leavingWord(let row), .changed):
            memory.written(.tombstone(row))
            return self.endLoad(.none)
        case (.searching(let isAlone), .row(let row)):
            return self.found(row, isAlone: isAlone, &memory, moment)
        case (.searching(let isAlone), .failed):
            if memory.queue.waiting(self.key) != nil { return self.found(nil, isAlone: isAlone, &memory, moment) }
            // Requests go on from memcached, and that says there is none: unless it has just forgotten all it had.
            return self.endLoad(isAlone || memory.hasForgotten(at: moment.now) ? .unavailable : .none)
        case (.goingBack(let row, let session), let answer):
            return self.wentBack(row, over: session, answer, &memory, moment)
        case (.restoring(let row, let hasGoneBack), .loaded(let outcome)):
            return self.restored(row, hasGoneBack: hasGoneBack, outcome, &memory, moment)
        default:
            // Among them that it is still to be said that the session went back.
            return self.endLoad(.unavailable)
        }
    }

    private mutating func memcachedAnswered(
        _ outcome: SessionLoadOutcome,
        _ client: ByteBufferView?,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        switch outcome {
        case .live(let session):
            if session.isDegraded { memory.memcachedWasAway() }
            guard session.isDegraded || memory.mustCompare(self.key, at: moment.now) else {
                memory.seen(session.record, self.key, at: moment.now)
                return self.endLoad(.live(session))
            }
            self.state = .comparing(session)
            return .loadRow
        case .none:
            return self.search(isAlone: false, client, &memory, moment)
        case .unavailable, .limited:
            memory.memcachedWasAway()
            guard memory.configuration.servesDegraded else { return self.endLoad(.unavailable) }
            return self.search(isAlone: true, client, &memory, moment)
        }
    }

    // MARK: Memcached has it

    /// Fewer servers answered than a promise needs, or they do not know what the database was told while they were away:
    /// above all that the session is destroyed.
    private mutating func compared(
        _ session: StoredSession,
        _ found: SessionRow?,
        isAgain: Bool,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        let hasForgotten = memory.hasForgotten(at: moment.now)
        let isOld = memory.queue.waiting(self.key).map { $0.record.identity.version > session.version } ?? false
        guard let row = hasForgotten ? self.newest(found, memory, isLost: isOld && !session.isDegraded) : found else {
            memory.compared(self.key)
            return self.live(session, &memory, moment)
        }
        if row.record.isTombstone {
            // Memcached hears of it before anybody does, so that no other gateway shows the session again.
            memory.adopt(self.key)
            return self.bury(row)
        }
        // Where memcached has what the row has, it has all that there may be.
        let isLess = row.isOld ? row.newest > session.version : row.record.identity.version > session.version
        if hasForgotten, !session.isDegraded, isLess, row.isLive(at: moment.now) {
            guard isAgain else {
                // Somebody may have saved it since it was read: what is lost memcached has not now either.
                self.state = .askingAgain(found)
                return .loadReplicas
            }
            if let found, let next = self.lastLeft(session, row, memory, moment) {
                return self.goBack(to: next, over: found.record.identity, besides: session, &memory, moment)
            }
        }
        guard row.record.identity.version > session.version, row.isLive(at: moment.now) else {
            if !session.isDegraded { memory.compared(self.key) }
            return self.live(session, &memory, moment)
        }
        if session.isDegraded { return self.served(row, &memory, moment) }
        // Chosen is what memcached has. What the database was told alone follows it, or came from a state that somebody
        // else has gone on from.
        guard row.mayReplace(session.record.identity, .ancestors) else {
            memory.compared(self.key)
            return self.live(session, &memory, moment)
        }
        return self.place(row, over: session)
    }

    /// - Returns: the newest state that is left, where an acknowledged one is lost; nil where none is, or where the two have gone
    ///   different ways.
    private func lastLeft(
        _ session: StoredSession,
        _ row: SessionRow,
        _ memory: TierMemory,
        _ moment: Moment
    ) -> SessionRow? {
        if row.record.identity.version > session.version {
            return row.hasGoneBack && row.mayReplace(session.record.identity, .ancestors) ? row : nil
        }
        var left = memory.row(session.record, self.key, at: moment.now)
        left.newest = row.newest
        return left
    }

    private mutating func place(_ row: SessionRow, over session: StoredSession, hasGoneBack: Bool = false) -> Step {
        self.state = .placing(row, hasGoneBack: hasGoneBack)
        return .writeReplicas(.save(base: session.loaded, proposal: row.record))
    }

    private mutating func live(_ session: StoredSession, _ memory: inout TierMemory, _ moment: Moment) -> Step {
        if session.isDegraded {
            // It need not have been acknowledged.
            memory.slid(session.record, self.key, at: moment.now)
        } else {
            memory.seen(session.record, self.key, at: moment.now)
        }
        return self.endLoad(.live(session))
    }

    private mutating func served(
        _ row: SessionRow,
        hasGoneBack: Bool = false,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        memory.counts.servedAlone += 1
        memory.slid(row.record, self.key, at: moment.now)
        var session = StoredSession(row: row.record, isDegraded: true)
        session.hasGoneBack = hasGoneBack
        session.isOfOldRow = row.isOld && !hasGoneBack
        return self.endLoad(.live(session))
    }

    // MARK: Memcached has nothing

    /// It never was, has expired, was destroyed, or was forgotten; or memcached cannot be asked.
    private mutating func search(
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
    private func newest(_ row: SessionRow?, _ memory: TierMemory, isLost: Bool = false) -> SessionRow? {
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

    private mutating func found(
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
        self.state = .makingSure(row)
        return .loadReplicas
    }

    /// Acknowledged states are lost. Whoever still has one of them must not put it over what is made from here on: the row
    /// gets a version above them all, and that is what goes on. Of several gateways one does that, and says that the session
    /// went back.
    /// - Parameters:
    ///   - base: the row; nil where there is none yet.
    ///   - session: what memcached has, if it has anything.
    private mutating func goBack(
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
        // Whoever saves after this finds out by it that the row has been written.
        next.record.databaseSynced = moment.now
        next.synced = moment.now
        // The row counts its own.
        if memory.queue.waiting(self.key)?.record.identity != newest.record.identity { next.saves = 0 }
        self.state = .goingBack(newest, over: session)
        return self.write(base.map { .compareAndSave(next, base: $0) } ?? .insert(next))
    }

    private mutating func wentBack(
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

    private mutating func searchAgain(inMemcached: Bool = false) -> Step {
        self.searches += 1
        guard self.searches < Self.maximumSearches else { return self.endLoad(.unavailable) }
        self.state = inMemcached ? .askingMemcached : .searching(isAlone: false)
        return inMemcached ? .loadReplicas : .loadRow
    }

    private mutating func serve(
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

    private mutating func restored(
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
