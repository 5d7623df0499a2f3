/// Judges what clients did to sessions and what they were told: the promises a to h of the guarantees. Knows nothing of
/// servers, ballots and copies, so that it serves the simulation and a test on real servers alike.
///
/// It is told every beginning and every end in the order in which they happened; what ends before something else begins
/// must be told before it. Each step takes constant time, but for the length of the chain that it learns.
///
/// What it knows of a session is a **chain**: the writes of which it is certain that they were chosen, as they were
/// acknowledged or read, or one of these was made from them. There is only one such chain, whatever fails; a read begins
/// with a **floor**, the newest link known by then, and must return that or what came after it.
///
/// Degraded answers carry no promise: a degraded write ends as `unknown`, a degraded read is not told at all.
package struct HistoryChecker: Sendable {
    package struct SessionNumber: Sendable, Hashable {
        package let index: Int
    }

    /// One write, as the payload names it.
    package struct WriteNumber: Sendable, Hashable {
        package let index: Int

        package init(index: Int) {
            self.index = index
        }
    }

    package enum Verdict: Sendable {
        case acknowledged
        case discarded
        /// Also of what failed, was never answered, or was degraded.
        case unknown
    }

    /// A read, a write or a destruction that has begun: what was known by then.
    package struct Beginning: Sendable {
        let session: SessionNumber
        /// The newest link of the chain; -1 where none is known.
        let floor: Int
        fileprivate let wasOver: Bool
        fileprivate let moment: Int
        /// The session might have gone back.
        fileprivate let wasInDoubt: Bool
        /// And nothing is under way any more that began before.
        let isAfterTheLoss: Bool
    }

    struct Write: Sendable {
        var session: SessionNumber
        var base: WriteNumber?
        var verdict = Verdict.unknown
        /// Its place in the chain.
        var place: Int?
        var beganAfterTheEnd: Bool
    }

    struct Session: Sendable {
        var chain: [WriteNumber] = []
        /// A destruction has begun: it may take effect at any time.
        var mayBeDestroyed = false
        /// It is certain that nothing is read any more.
        var isOver = false
        var isExempt = false
        /// See `HistoryChecker+Database.swift`.
        var doubt = Doubt.none
        /// The place of the newest link that outlives all memory; -1 where none does.
        var kept = -1
        /// The place of a link of which it would be said if it were lost; nil where none is.
        var mustSay: Int?
        var hasSaid = false
        /// Links were lost the last time that it might go back.
        var hasLost = false
    }

    var sessions: [Session] = []
    var writes: [Write] = []
    /// Counts what it is told: what violations are dated by.
    var moment = 0
    package private(set) var violations: [Violation] = []

    package init() {}

    /// - Returns: the number of a session that nobody has written yet.
    package mutating func newSession() -> SessionNumber {
        self.sessions.append(Session())
        return SessionNumber(index: self.sessions.count - 1)
    }

    /// From now on nothing is promised of this session: more has failed than the promises allow.
    package mutating func exempt(_ session: SessionNumber) {
        self.sessions[session.index].isExempt = true
    }

    package func isExempt(_ session: SessionNumber) -> Bool { self.sessions[session.index].isExempt }

    /// Whether a session that was once there is still there, as far as was told.
    package func mustBeThere(_ session: SessionNumber) -> Bool {
        let session = self.sessions[session.index]
        return !session.chain.isEmpty && !session.mayBeDestroyed && !session.isOver && !session.isExempt
            && (session.doubt == .none || session.kept >= 0)
    }

    // MARK: Writes

    /// - Parameter base: the write that it was made from; nil for the one that creates the session.
    package mutating func writeBegan(_ session: SessionNumber, base: WriteNumber?) -> WriteNumber {
        self.moment += 1
        self.writes.append(
            Write(session: session, base: base, beganAfterTheEnd: self.sessions[session.index].isOver)
        )
        return WriteNumber(index: self.writes.count - 1)
    }

    package mutating func writeEnded(_ number: WriteNumber, _ verdict: Verdict) {
        self.moment += 1
        let write = self.writes[number.index]
        self.writes[number.index].verdict = verdict
        switch verdict {
        case .acknowledged:
            if write.beganAfterTheEnd {
                self.report(.nothingAfterTheEnd, write.session, "\(number) was saved after the end")
            }
            self.learn(number, "was acknowledged")
        case .discarded:
            if write.place != nil {
                self.report(.discardedIsNeverRead, write.session, "\(number) was discarded, and is in the chain")
            }
        case .unknown:
            break
        }
    }

    // MARK: Reads

    package mutating func readBegan(_ session: SessionNumber) -> Beginning {
        self.moment += 1
        let known = self.sessions[session.index]
        return Beginning(
            session: session,
            floor: known.doubt == .none ? known.chain.count - 1 : known.kept,
            wasOver: known.isOver,
            moment: self.moment,
            wasInDoubt: known.doubt != .none,
            isAfterTheLoss: known.doubt == .settling
        )
    }

    /// - Parameter number: as the payload named it.
    package mutating func readEnded(_ beginning: Beginning, _ number: WriteNumber) {
        self.moment += 1
        let session = beginning.session
        guard number.index < self.writes.count, self.writes[number.index].session == session else {
            self.report(.onlyWhatWasWrittenIsRead, session, "\(number) was read and never written")
            return
        }
        if beginning.wasOver {
            self.report(.nothingAfterTheEnd, session, "\(number) was read after the end")
        }
        guard self.learn(number, "was read"), let place = self.writes[number.index].place else { return }
        self.settled(by: beginning, place)
        if place < beginning.floor {
            // If the read itself has cut the chain there, that was told.
            let chain = self.sessions[session.index].chain
            guard beginning.floor < chain.count else { return }
            let floor = chain[beginning.floor]
            self.report(
                beginning.wasInDoubt ? .durableIsKept : .readsAreNeverOlder,
                session,
                "\(number) was read by a load that began after \(floor) was known"
            )
        }
    }

    /// The read returned something that no write of any session wrote.
    package mutating func readWasCorrupt(_ beginning: Beginning) {
        self.moment += 1
        self.report(.onlyWhatWasWrittenIsRead, beginning.session, "what was read was never written")
    }

    /// There was no session.
    /// - Parameter mayHaveExpired: whether its time may have been over.
    package mutating func readEndedWithNothing(_ beginning: Beginning, mayHaveExpired: Bool = false) {
        self.moment += 1
        let session = self.sessions[beginning.session.index]
        if session.doubt != .none {
            // It may be put back later, by whoever has it.
            if session.kept >= 0, beginning.floor >= 0, !session.mayBeDestroyed, !mayHaveExpired {
                let kept = session.chain[session.kept]
                self.report(.durableIsKept, beginning.session, "nothing was read, and \(kept) outlives all memory")
            }
            return
        }
        // A load that began while it was in doubt.
        if beginning.wasInDoubt { return }
        // Before anything was known of it, it may not have been there yet.
        guard beginning.floor >= 0, !mayHaveExpired else { return }
        if !session.mayBeDestroyed {
            let newest = session.chain[beginning.floor]
            self.report(.acknowledgedIsRead, beginning.session, "nothing was read after \(newest) was known")
        }
        self.sessions[beginning.session.index].isOver = true
    }

    // MARK: The end

    package mutating func destructionBegan(_ session: SessionNumber) {
        self.moment += 1
        self.sessions[session.index].mayBeDestroyed = true
    }

    package mutating func destructionWasAcknowledged(_ session: SessionNumber) {
        self.moment += 1
        self.sessions[session.index].isOver = true
    }

    /// For tests with servers' clocks: the session was read although its time was over.
    package mutating func readAfterExpiry(_ session: SessionNumber) {
        self.moment += 1
        self.report(.expiredIsNeverRead, session, "the session was read after its time")
    }

    /// The history goes on after the last fault: this should have worked.
    package mutating func failedInPeace(_ session: SessionNumber, _ story: String) {
        self.moment += 1
        self.report(.itGoesOnWhenFaultsStop, session, story)
    }

    /// As above, of no session.
    package mutating func failedInPeace(_ story: String) {
        self.violations.append(
            Violation(promise: .itGoesOnWhenFaultsStop, session: nil, moment: self.moment, story: story)
        )
    }

    // MARK: The chain

    /// - Returns: whether it fits.
    @discardableResult
    mutating func learn(_ number: WriteNumber, _ reason: String) -> Bool {
        guard self.writes[number.index].place == nil else { return true }
        let session = self.writes[number.index].session
        // Back to what is known.
        var links = [number]
        var base = self.writes[number.index].base
        while let next = base, self.writes[next.index].place == nil {
            links.append(next)
            base = self.writes[next.index].base
        }
        let chain = self.sessions[session.index].chain
        let place = base.flatMap { self.writes[$0.index].place } ?? -1
        if place < chain.count - 1, self.goesBack(session, to: place, for: number) {
            // The rest of the chain was lost.
        } else if place < chain.count - 1 {
            let rival = chain[place + 1]
            let isDouble =
                self.writes[number.index].verdict == .acknowledged && self.writes[rival.index].verdict == .acknowledged
            let origin = base.map { "\($0)" } ?? "nothing"
            self.report(
                isDouble && links.count == 1 ? .oneSaveForEachBase : .acknowledgedStaysInTheChain,
                session,
                "\(number) \(reason), and both it and \(rival) come from \(origin)"
            )
            return false
        }
        for link in links.reversed() {
            self.writes[link.index].place = self.sessions[session.index].chain.count
            self.sessions[session.index].chain.append(link)
            // Where all copies of what won are lost, a server that was none of its holders may have one that was discarded.
            if self.writes[link.index].verdict == .discarded, self.sessions[session.index].doubt == .none {
                self.report(.discardedIsNeverRead, session, "\(number) \(reason), and \(link) was discarded")
            }
        }
        return true
    }

    mutating func report(_ promise: Promise, _ session: SessionNumber, _ story: String) {
        guard !self.sessions[session.index].isExempt else { return }
        self.violations.append(Violation(promise: promise, session: session, moment: self.moment, story: story))
    }
}

extension HistoryChecker.WriteNumber: CustomStringConvertible {
    package var description: String { "write \(self.index)" }
}
