import HistoryChecker

/// How a session was wronged.
package enum Wrong: String, Sendable, CaseIterable, Codable, CodingKeyRepresentable {
    /// A save that was acknowledged, or the whole session, is gone.
    case lost
    /// A signed-out session was there again.
    case resurrected
    /// An older state has overwritten a newer one: two saves of one state were acknowledged, or a discarded one was read.
    case overwritten
    /// Older than what somebody had been shown before.
    case stale
    /// Something that was never written into this session.
    case foreign

    init(_ promise: Promise) {
        self =
            switch promise {
            case .acknowledgedIsRead, .acknowledgedStaysInTheChain, .itGoesOnWhenFaultsStop, .durableIsKept,
                .goingBackIsSaid, .theLivingAreNotReaped:
                .lost
            case .nothingAfterTheEnd, .expiredIsNeverRead: .resurrected
            case .oneSaveForEachBase, .discardedIsNeverRead: .overwritten
            case .readsAreNeverOlder: .stale
            case .onlyWhatWasWrittenIsRead: .foreign
            }
    }
}

/// What the checker says of all visits of a run.
package struct Judgement: Sendable {
    /// The sessions that were wronged, each by the first wrong that was done to it, as what follows from that says nothing;
    /// an old state that was read is not all of it where a newer one was overwritten with what came of it.
    package var wronged: [Int: Wrong] = [:]
    package var stories: [String] = []

    package func count(_ wrong: Wrong) -> Int { self.wronged.values.count { $0 == wrong } }

    /// Judges visits that are all over. What a write was made from is known from its own answer, or, where that never came,
    /// from any session that comes from it.
    package init(of visits: [Visit]) {
        var court = Court(visits)
        court.hear()
        var sessions: [Int: Int] = [:]
        for (session, number) in court.sessions { sessions[number.index] = session }
        for violation in court.checker.violations {
            guard let number = violation.session, let session = sessions[number.index] else { continue }
            if self.wronged[session] == nil || self.wronged[session] == .stale {
                self.wronged[session] = Wrong(violation.promise)
                self.stories.append("\(violation)")
            }
        }
    }
}

/// Tells the checker of the visits in the order in which they began and ended.
private struct Court {
    var checker = HistoryChecker()
    private(set) var sessions: [Int: HistoryChecker.SessionNumber] = [:]
    private let visits: [Visit]
    /// By write: what it was made from.
    private var bases: [Int: Int] = [:]
    /// By write: the session it was written into.
    private var homes: [Int: Int] = [:]
    private var numbers: [Int: HistoryChecker.WriteNumber] = [:]
    private var beginnings: [Int: HistoryChecker.Beginning] = [:]

    init(_ visits: [Visit]) {
        self.visits = visits
        for visit in visits {
            if let write = visit.write {
                let isNew = visit.newSession != nil
                self.homes[write] = isNew ? visit.newSession : visit.session
                if visit.hasPage, !isNew { self.bases[write] = visit.found.writes.first }
            }
            for (newer, older) in zip(visit.found.writes, visit.found.writes.dropFirst()) { self.bases[newer] = older }
        }
    }

    mutating func hear() {
        // What begins at the moment at which something ends may have seen it or not.
        let moments = self.visits.indices.flatMap { [(self.visits[$0].began, 0, $0), (self.visits[$0].ended, 1, $0)] }
        for (_, isEnd, index) in moments.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) {
            if isEnd == 0 { self.visitBegan(index) } else { self.visitEnded(index) }
        }
    }

    private mutating func visitBegan(_ index: Int) {
        let visit = self.visits[index]
        if let write = visit.write { _ = self.number(of: write) }
        guard let session = visit.session else { return }
        let number = self.number(ofSession: session)
        self.beginnings[index] = self.checker.readBegan(number)
        if visit.purpose == .signIn || visit.purpose == .signOut { self.checker.destructionBegan(number) }
    }

    private mutating func visitEnded(_ index: Int) {
        let visit = self.visits[index]
        if let beginning = self.beginnings.removeValue(forKey: index), visit.isPromised {
            if visit.isGarbled {
                self.checker.readWasCorrupt(beginning)
            } else if let newest = visit.found.writes.first {
                if let number = self.number(of: newest) {
                    self.checker.readEnded(beginning, number)
                } else {
                    self.checker.readWasCorrupt(beginning)
                }
            } else {
                self.checker.readEndedWithNothing(beginning)
            }
        }
        if let write = visit.write, let number = self.number(of: write) {
            self.checker.writeEnded(
                number,
                visit.isAcknowledged ? .acknowledged : visit.outcome == .discarded ? .discarded : .unknown
            )
        }
        if let session = visit.session, visit.outcome == .destroyed || visit.outcome == .moved {
            // A sign-in without a session has ended none.
            if !visit.found.isEmpty { self.checker.destructionWasAcknowledged(self.number(ofSession: session)) }
        }
    }

    private mutating func number(ofSession session: Int) -> HistoryChecker.SessionNumber {
        if let number = self.sessions[session] { return number }
        let number = self.checker.newSession()
        self.sessions[session] = number
        return number
    }

    /// Registers the write, and what it was made from, when it is first heard of: its request may have begun later than one
    /// that came after it in the session.
    /// - Returns: nil for what no visitor has written.
    private mutating func number(of write: Int) -> HistoryChecker.WriteNumber? {
        if let number = self.numbers[write] { return number }
        var waiting: [Int] = []
        var seen: Set<Int> = []
        var next: Int? = write
        while let write = next, self.numbers[write] == nil, seen.insert(write).inserted {
            guard self.homes[write] != nil else { break }
            waiting.append(write)
            next = self.bases[write]
        }
        for write in waiting.reversed() {
            guard let home = self.homes[write] else { continue }
            let base = self.bases[write].flatMap { self.numbers[$0] }
            self.numbers[write] = self.checker.writeBegan(self.number(ofSession: home), base: base)
        }
        return self.numbers[write]
    }
}
