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
        case (.askingAgain(_, let waiting), .loaded(.live(let session)))
        where !session.isDegraded && self.isSaved(since: waiting, memory):
            return self.live(session, &memory, moment)
        case (.askingAgain(let row, _), .loaded(.live(let session))):
            return self.compared(session, row, isAgain: true, &memory, moment)
        case (.makingSure(_, let waiting), .loaded(.none)) where self.isSaved(since: waiting, memory):
            return self.searchAgain(inMemcached: true)
        case (.makingSure(let row, _), .loaded(.none)):
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
        case (.placing(let row, hasGoneBack: true), .written(.discarded)):
            self.state = .overtaken(row)
            return .loadReplicas
        case (.overtaken, .loaded(.live(var session))):
            session.hasGoneBack = true
            return self.live(session, &memory, moment)
        case (.overtaken(let row), .loaded(.none)):
            return self.serve(row, hasGoneBack: true, isAlone: false, &memory, moment)
        case (.overtaken(let row), _):
            return self.served(row, hasGoneBack: true, &memory, moment)
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
                self.state = .askingAgain(found, waiting: memory.queue.waiting(self.key)?.record.identity)
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
        // else has gone on from. Where it has forgotten, that is so of what the database was told alone: anything else was chosen
        // once, and what memcached has now was not seen then, or has been gone on from.
        let wasChosen = hasForgotten && row.due != SessionRow.unplaced
        guard wasChosen || row.mayReplace(session.record.identity, .ancestors) else {
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

    mutating func place(_ row: SessionRow, over session: StoredSession, hasGoneBack: Bool = false) -> Step {
        self.state = .placing(row, hasGoneBack: hasGoneBack)
        return .writeReplicas(.save(base: session.loaded, proposal: row.record))
    }

    mutating func live(_ session: StoredSession, _ memory: inout TierMemory, _ moment: Moment) -> Step {
        if session.isDegraded {
            // It need not have been acknowledged.
            memory.slid(session.record, self.key, at: moment.now)
        } else {
            memory.seen(session.record, self.key, at: moment.now)
        }
        return self.endLoad(.live(session))
    }

    mutating func served(
        _ row: SessionRow,
        hasGoneBack: Bool = false,
        _ memory: inout TierMemory,
        _ moment: Moment
    ) -> Step {
        memory.counts.servedAlone += 1
        memory.slid(row.record, self.key, at: moment.now)
        var session = StoredSession(row: row.record, isDegraded: true)
        session.hasGoneBack = hasGoneBack
        session.leavesBehind = row.isOld && !hasGoneBack ? row.newest : nil
        return self.endLoad(.live(session))
    }
}
