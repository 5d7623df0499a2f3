import HistoryChecker
import Sessions

/// The bounded exception, counted exactly: an item that a complete server loses (evicted, damaged, expired by a clock
/// that jumped) is a failure of that server for this session, and one that nobody is told of: until the session was
/// chosen anew, whoever hears of too few others takes its silence for a vote.
///
/// So from the loss until then, every server of the session that gives no answer, or refuses a write as another one came
/// first, counts as failed for it too, as does one that has forgotten. With r of them nothing is promised any more.
struct ItemLosses {
    /// Servers that lost an item of the session, by position.
    var lost: Positions = []
    /// Servers that were missed since.
    var missed: Positions = []
    /// When the last one was lost.
    var time: EventQueue.Time = 0

    var isEmpty: Bool { self.lost.isEmpty }
}

extension SimulatedWorld {
    func lost(_ session: Int, on server: Int) {
        guard let position = self.sessions[session].servers.firstIndex(of: server) else { return }
        self.sessions[session].losses.lost.insert(position)
        self.sessions[session].losses.time = self.now
        self.countLosses(of: session)
    }

    func missed(_ positions: Positions, of session: Int) {
        guard !self.sessions[session].losses.isEmpty else { return }
        self.sessions[session].losses.missed = self.sessions[session].losses.missed.union(positions)
        self.countLosses(of: session)
    }

    func countLosses(of session: Int) {
        let known = self.sessions[session]
        guard !known.losses.isEmpty else { return }
        var failed = known.losses.lost.union(known.losses.missed)
        for (position, server) in known.servers.enumerated() where !self.servers[server].isComplete {
            failed.insert(position)
        }
        if failed.count >= known.set.redundancy { self.exempt(session) }
    }

    /// Whether an operation that began after the last loss has had the session chosen anew.
    func settleLosses(of operation: RunningOperation, _ outcome: ReplicaOutcome) {
        let losses = self.sessions[operation.session].losses
        guard !losses.isEmpty, operation.began > losses.time, operation.accepted != nil else { return }
        switch outcome {
        case .chosen, .destroyed: self.sessions[operation.session].losses = ItemLosses()
        case .none, .discarded, .unknown, .unavailable, .degraded, .beyondRepair: break
        }
    }

    func exempt(_ session: Int) {
        guard !self.checker.isExempt(self.sessions[session].number) else { return }
        self.note(session, "more has failed than the promises allow")
        self.figures.exempt += 1
        self.checker.exempt(self.sessions[session].number)
    }
}
