import HistoryChecker
import Sessions

/// The reaper, and what memcached is told late.
extension SimulatedWorld {
    private var reapPause: EventQueue.Time {
        self.restingUntil > self.now ? Self.restingBeat : 10 * self.beat
    }

    // MARK: Reaping

    func reapIsDue(_ gateway: Int, _ life: Int) {
        guard self.gateways[gateway].life == life, self.gateways[gateway].isUp else { return }
        self.schedule(
            .reap(gateway: gateway, gatewayLife: life),
            in: self.reapPause + self.chance.below(self.reapPause)
        )
        // The lock of a dead leader is free.
        if let leader = self.reaper, self.gateways[leader.gateway].life == leader.gatewayLife { return }
        guard !self.isDatabaseDown else { return }
        let run = ReapRun(gateway: gateway, life: life)
        self.reaper = run
        self.call(.due(at: self.timestamp(gateway)), for: .reap(run), gateway)
    }

    /// - Parameter rows: those that are due.
    func look(_ run: ReapRun, _ rows: [DueRow]) {
        run.rows = rows
        run.findings = Array(repeating: .unavailable, count: rows.count)
        run.left = rows.count
        for (index, row) in rows.enumerated() {
            guard !row.isTombstone, let session = self.session(row.key), self.mistake != .reapUnasked else {
                self.found(run, index, self.mistake == .reapUnasked ? .none : .unavailable)
                continue
            }
            self.start(
                .look,
                session: session,
                gateway: run.gateway,
                for: .reap(run, index: index),
                timeout: self.weather.loadTimeout
            )
        }
        if rows.isEmpty { self.reaper = nil }
    }

    func looked(_ run: ReapRun, _ index: Int, _ outcome: ReplicaOutcome) {
        self.found(run, index, MemcachedFinding(outcome, at: self.timestamp(run.gateway)))
    }

    private func found(_ run: ReapRun, _ index: Int, _ finding: MemcachedFinding) {
        run.findings[index] = finding
        run.left -= 1
        guard run.left == 0, self.gateways[run.gateway].life == run.gatewayLife else { return }
        let now = self.timestamp(run.gateway)
        var changes: [RowChange] = []
        for (row, finding) in zip(run.rows, run.findings) {
            let step = ReapStep.step(for: row, finding, at: now, self.weather.tier)
            guard let change = step.change(of: row, at: now, self.weather.tier) else { continue }
            changes.append(change)
            run.changed.append(row)
        }
        if self.reaper === run { self.reaper = nil }
        if !changes.isEmpty { self.call(.apply(changes), for: .reaped(run, changes), run.gateway) }
    }

    func reaped(_ run: ReapRun, _ changes: [RowChange], _ results: [RowChangeResult]) {
        let now = self.timestamp(run.gateway)
        for (row, (change, result)) in zip(run.changed, zip(changes, results)) {
            guard let written = ReapStep.inQuestion(row, after: change, result) else { continue }
            self.gateways[run.gateway].memory.question(row.key, written, at: now)
        }
        let next = zip(changes, results).compactMap { ReapStep.afterwards($0, $1, at: now, self.weather.tier) }
        if !next.isEmpty { self.call(.apply(next), for: .nobody, run.gateway) }
    }

    /// The row of a session was taken away: that must have ended.
    func judgeReaping(_ session: Int) {
        let known = self.sessions[session]
        guard self.checker.mustBeThere(known.number), !self.checker.isInDoubt(known.number),
            !self.mayHaveExpired(session)
        else { return }
        self.checker.wasReapedAlive(known.number)
    }

    // MARK: What memcached has to be told

    func placeAll(_ gateway: Int) {
        let memory = self.gateways[gateway].memory
        let keys = memory.unplaced.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        for key in keys.prefix(4) {
            guard let session = self.session(key), !self.gateways[gateway].placing.contains(session) else { continue }
            self.gateways[gateway].placing.insert(session)
            let run = PlaceRun(key: key, session: session, gateway: gateway, life: self.gateways[gateway].life)
            self.execute(run.machine.start(), run)
        }
    }

    private func execute(_ step: PlaceOperation.Step, _ run: PlaceRun) {
        guard let key = self.sessions[run.session].key else { return }
        switch step {
        case .loadRow:
            self.call(.load(key), for: .place(run), run.gateway)
        case .destroyInMemcached:
            self.ask(.destroy(identity: self.newIdentity(run.gateway, after: nil)), run)
        case .look:
            self.ask(.look, run)
        case .save(let base, let proposal):
            self.alias(proposal)
            self.countLongLine(proposal, over: base.record, run.session)
            self.ask(.save(base: base, proposal: proposal), run)
        case .write(let change):
            self.call(.apply([change]), for: .place(run), run.gateway)
        case .finish:
            self.gateways[run.gateway].placing.remove(run.session)
        }
    }

    private func ask(_ goal: ReplicaOperation.Goal, _ run: PlaceRun) {
        let timeout = 2 * self.weather.loadTimeout
        self.start(goal, session: run.session, gateway: run.gateway, for: .place(run), timeout: timeout)
    }

    func answered(_ run: PlaceRun, _ operation: RunningOperation, _ outcome: ReplicaOutcome) {
        switch operation.goal {
        case .destroy: self.answered(run, .destroyed(outcome.isDestroyed))
        case .look: self.answered(run, .seen(self.loadOutcome(operation.goal, outcome)))
        default:
            if case .chosen = outcome {
                self.answered(run, .saved)
            } else {
                self.answered(run, .failed)
            }
        }
    }

    private func answered(_ run: PlaceRun, _ answer: PlaceOperation.Answer) {
        guard self.gateways[run.gateway].life == run.gatewayLife else { return }
        let now = self.timestamp(run.gateway)
        self.execute(run.machine.answered(answer, &self.gateways[run.gateway].memory, at: now), run)
    }

    func answered(_ run: PlaceRun, _ answer: DatabaseCall.Answer) {
        switch answer {
        case .row(let row): self.answered(run, PlaceOperation.Answer.row(row))
        case .results(let results): self.answered(run, PlaceOperation.Answer.changed(results.first))
        case .due, .failed: self.answered(run, PlaceOperation.Answer.failed)
        }
    }
}
