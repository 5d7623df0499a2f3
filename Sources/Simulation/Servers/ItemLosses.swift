import HistoryChecker
import Sessions

/// The bounded exception, counted exactly: an item that a complete server loses (evicted, damaged, expired by a clock
/// that jumped) is a failure of that server for this session, and one that nobody is told of: until the session was
/// chosen anew, whoever hears of too few others takes its silence for a vote.
///
/// So from the loss until then, every server of the session that gives no answer to an operation, or refuses a write as
/// another one came first, counts as failed for it too, as does one that has forgotten: also to operations that were
/// under way when the item was lost, or when the session was chosen anew. With r of them nothing is promised any more.
struct ItemLosses {
    /// Servers that lost an item of the session, by position.
    var lost: Positions = []
    /// Servers that were missed since.
    var missed: Positions = []
    /// When the last one was lost.
    var time: EventQueue.Time = 0
    /// When the session was chosen anew since.
    var repaired: EventQueue.Time?

    var isEmpty: Bool { self.lost.isEmpty }
}

extension SimulatedWorld {
    func lost(_ session: Int, on server: Int) {
        guard let position = self.sessions[session].servers.firstIndex(of: server) else { return }
        self.forgetEnded(session)
        self.sessions[session].losses.lost.insert(position)
        self.sessions[session].losses.time = self.now
        self.sessions[session].losses.repaired = nil
        for operation in self.sessions[session].running {
            self.sessions[session].losses.missed = self.sessions[session].losses.missed.union(operation.missed)
        }
        self.countLosses(of: session)
    }

    func missed(_ positions: Positions, by operation: RunningOperation) {
        operation.missed = operation.missed.union(positions)
        let session = operation.session
        guard !self.sessions[session].losses.isEmpty else { return }
        self.sessions[session].losses.missed = self.sessions[session].losses.missed.union(operation.missed)
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

    private func forgetEnded(_ session: Int) {
        self.sessions[session].running.removeAll {
            $0.isOver || self.gateways[$0.gateway].life != $0.gatewayLife
        }
    }

    /// Whether an operation that began after the last loss has had the session chosen anew, and none is left that began
    /// before that.
    func settleLosses(of operation: RunningOperation, _ outcome: ReplicaOutcome) {
        let session = operation.session
        let losses = self.sessions[session].losses
        guard !losses.isEmpty else { return }
        if operation.began > losses.time, operation.accepted != nil, losses.repaired == nil {
            switch outcome {
            case .chosen, .destroyed: self.sessions[session].losses.repaired = self.now
            case .none, .discarded, .unknown, .unavailable, .degraded, .beyondRepair: break
            }
        }
        guard let repaired = self.sessions[session].losses.repaired else { return }
        self.forgetEnded(session)
        if !self.sessions[session].running.contains(where: { $0.began <= repaired }) {
            self.sessions[session].losses = ItemLosses()
        }
    }

    func exempt(_ session: Int) {
        guard !self.checker.isExempt(self.sessions[session].number) else { return }
        self.note(session, "more has failed than the promises allow")
        self.figures.exempt += 1
        self.checker.exempt(self.sessions[session].number)
    }

    // MARK: Slides that nobody heard of

    /// The other bounded exception: a load slides what it reads, before it can know whether that is the session or what
    /// was left of it. Where it is the latter, the load puts the time back; one that cannot (its gateway crashed, the
    /// server fell silent) leaves a copy that may outlive the tombstone, or the copies that followed it. Nothing is
    /// promised of a session that is read from such a copy after its own time.
    func settleSlides(of operation: RunningOperation, _ outcome: ReplicaOutcome) {
        guard self.profile.hasLongTimes, case .chosen(let loaded) = outcome else { return }
        for position in operation.slid {
            let server = operation.servers[position]
            guard let item = self.servers[server].item(operation.session, at: self.now),
                self.decoded(item.value, operation.session)?.accepted == loaded.record.accepted
            else { continue }
            self.servers[server].confirmSlide(operation.session)
        }
    }
}
