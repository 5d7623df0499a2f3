import HistoryChecker
import Sessions

/// Executes what `TierOperation` decides, as `HybridStore` does over sockets, and tells the checker what came of it.
extension SimulatedWorld {
    func start(
        _ goal: TierOperation.Goal,
        _ session: Int,
        _ gateway: Int,
        for purpose: TierRun.Purpose
    ) {
        guard let key = self.sessions[session].key else { return }
        let run = TierRun(
            goal,
            key: key,
            for: purpose,
            session: session,
            gateway: gateway,
            life: self.gateways[gateway].life,
            began: self.now
        )
        run.mustHaveExpired = self.mustHaveExpired(session)
        run.mayHaveExpired = self.mayHaveExpired(session)
        self.sessions[session].tierRuns.append(run)
        let moment = self.moment(run)
        self.execute(run.machine.start(&self.gateways[gateway].memory, moment), run)
    }

    func answered(_ run: TierRun, _ answer: TierOperation.Answer) {
        guard !run.isOver, self.gateways[run.gateway].life == run.gatewayLife else { return }
        let moment = self.moment(run)
        self.execute(run.machine.answered(answer, &self.gateways[run.gateway].memory, moment), run)
    }

    private func moment(_ run: TierRun) -> TierOperation.Moment {
        let links = self.gateways[run.gateway].links
        return TierOperation.Moment(
            now: self.timestamp(run.gateway),
            mayReach: self.sessions[run.session].servers.contains { links[$0].state == .up }
        )
    }

    private func execute(_ step: TierOperation.Step, _ run: TierRun) {
        switch step {
        case .loadReplicas:
            self.ask(.load, run)
        case .restore(let record):
            self.ask(.restore(proposal: record), run)
        case .writeReplicas(let goal), .writeFewReplicas(let goal):
            if case .load = run.machine.goal, case .save(let base, let proposal) = goal {
                self.countLongLine(proposal, over: base.record, run.session)
            }
            self.ask(goal, run)
        case .bury(let row):
            run.isBuriedInMemcached = nil
            run.isBuriedInDatabase = nil
            self.call(.apply([row.buried]), for: .burial(run), run.gateway)
            self.ask(.destroy(identity: self.newIdentity(run.gateway, after: nil)), run)
        case .loadRow:
            guard let key = self.sessions[run.session].key else { return }
            self.call(.load(key), for: .operation(run), run.gateway)
        case .write(let change, let isDurable):
            self.alias(change)
            if isDurable, self.mistake == .durableLater { return self.answered(run, .changed(.applied)) }
            self.call(.apply([change]), for: .operation(run), run.gateway)
        case .finishLoad(let outcome):
            self.end(run) { self.finishLoad($0, outcome) }
        case .finishWrite(let outcome):
            self.end(run) { self.finishWrite($0, outcome) }
        case .finishDestroy(let outcome):
            self.end(run) { self.finishDestroy($0, outcome) }
        }
    }

    private func ask(_ goal: ReplicaOperation.Goal, _ run: TierRun) {
        var timeout = self.weather.loadTimeout
        if case .destroy = goal { timeout *= 2 }
        self.start(goal, session: run.session, gateway: run.gateway, for: .tier(run), timeout: timeout)
    }

    /// A session that goes back goes on under a new identity, with the payload that it had.
    private func alias(_ change: RowChange) {
        switch change {
        case .compareAndSave(let row, _), .insert(let row): self.alias(row.record)
        default: break
        }
    }

    func alias(_ record: SessionRecord) {
        guard let number = record.writeNumber,
            number.index < self.identities.count, self.identities[number.index] != record.identity
        else { return }
        self.aliases[record.identity] = number.index
    }

    private func end(_ run: TierRun, _ body: (TierRun) -> Void) {
        guard !run.isOver else { return }
        run.isOver = true
        self.sessions[run.session].tierRuns.removeAll { $0 === run }
        body(run)
        self.settleDoubt(of: run.session)
    }

    // MARK: What memcached says

    /// As `SessionStore` tells it.
    func replicasAnswered(_ run: TierRun, _ operation: RunningOperation, _ outcome: ReplicaOutcome) {
        guard !run.isOver else { return }
        switch operation.goal {
        case .load, .restore:
            let told = self.loadOutcome(operation.goal, outcome)
            // Of too few servers one that knows of a tombstone is no certainty.
            if case .none = outcome { run.isGoneInMemcached = true }
            self.answered(run, .loaded(told))
        case .destroy:
            run.isBuriedInMemcached = outcome.isDestroyed
            if outcome.isDestroyed { run.isGoneInMemcached = true }
            self.buried(run)
        case .save, .create, .saveDegraded, .createDegraded:
            self.answeredWrite(run, operation, outcome)
        case .look, .keep:
            break
        }
    }

    func loadOutcome(_ goal: ReplicaOperation.Goal, _ outcome: ReplicaOutcome) -> SessionLoadOutcome {
        switch outcome {
        case .chosen(let loaded):
            return .live(StoredSession(loaded: loaded, isDegraded: false))
        case .none:
            return .none
        case .unavailable(let best, _):
            guard case .load = goal, let best, self.profile.isDegradedServed else { return .unavailable }
            return best.record.isTombstone ? .none : .live(StoredSession(loaded: best, isDegraded: true))
        case .destroyed, .discarded, .unknown, .degraded, .beyondRepair:
            return .unavailable
        }
    }

    private func answeredWrite(_ run: TierRun, _ operation: RunningOperation, _ outcome: ReplicaOutcome) {
        switch outcome {
        case .chosen(let loaded):
            self.answered(run, .written(.saved(StoredSession(loaded: loaded, isDegraded: false))))
        case .discarded(let winner):
            self.answered(run, .written(.discarded(winner: winner?.version)))
        case .degraded(let loaded):
            self.answered(run, .written(.degraded(StoredSession(loaded: loaded, isDegraded: true))))
        case .unavailable(_, let mayBeWritten):
            guard operation.goal.degraded != nil else { return self.answered(run, .written(.unknown)) }
            self.answered(run, .tooFewReplicas(mayBeWritten: mayBeWritten))
        case .none, .destroyed, .unknown, .beyondRepair:
            self.answered(run, .written(.unknown))
        }
    }

    func buried(_ run: TierRun) {
        guard let isInMemcached = run.isBuriedInMemcached, let isInDatabase = run.isBuriedInDatabase else { return }
        self.answered(run, .buried(inMemcached: isInMemcached, inDatabase: isInDatabase))
    }

    // MARK: What the visitor is told

    private func finishLoad(_ run: TierRun, _ outcome: SessionLoadOutcome) {
        guard case .load(let request, let beginning) = run.purpose else { return }
        let session = run.session
        self.note(session, "g\(run.gateway) hybrid load @\(run.began) ends: \(outcome.name)")
        switch outcome {
        case .live(let stored):
            if stored.hasGoneBack { self.saidToHaveGoneBack(session) }
            request.stored = stored
            request.loaded = stored.loaded
            request.base = self.verified(stored.record, session)
            guard let number = request.base else {
                request.ending = .failed
                self.checker.readWasCorrupt(beginning)
                return self.end(request)
            }
            guard !stored.isDegraded else {
                self.figures.degraded += 1
                // The row goes another way than memcached, which could not be told.
                if stored.hasGoneBack { self.sessions[session].isForked = true }
                request.ending = .failed
                return self.goOn(request)
            }
            self.checker.readEnded(beginning, number)
            if run.mustHaveExpired { self.checker.readAfterExpiry(self.sessions[session].number) }
            self.sessions[session].used = max(self.sessions[session].used, run.began)
            request.ending = .live
            self.goOn(request)
        case .none:
            // A gateway that has not seen that all memory was lost takes memcached's word where the database is away.
            guard !run.hasDatabaseFailed || !self.mayNotKnowOfLoss(run) else {
                request.ending = .failed
                return self.end(request)
            }
            guard run.isGoneInMemcached else {
                // Destroyed as the database says; the other gateways hear of it within a moment.
                if run.isBuriedInRow { self.sessions[session].isBuriedInDatabaseAlone = true }
                return self.foundNothing(request)
            }
            // Another load that began after this one may have put it back from the row in time.
            let mayHaveExpired = run.mayHaveExpired || self.mayHaveExpired(session)
            self.checker.readEndedWithNothing(beginning, mayHaveExpired: mayHaveExpired)
            self.foundNothing(request)
        case .unavailable, .limited:
            self.figures.unavailable += 1
            request.ending = .failed
            self.end(request)
        }
    }

    private func finishWrite(_ run: TierRun, _ outcome: SessionWriteOutcome) {
        guard case .write(let request, let number, let isDurable) = run.purpose else { return }
        self.note(run.session, "g\(run.gateway) hybrid \(number) @\(run.began) ends: \(outcome.name)")
        var kept: StoredSession?
        switch outcome {
        case .saved(let stored):
            self.figures.acknowledged += 1
            self.checker.writeEnded(number, .acknowledged)
            if isDurable {
                self.figures.durable += 1
                self.checker.keeps(number)
            }
            self.sessions[run.session].acknowledged.append((number, self.now))
            self.sessions[run.session].used = max(self.sessions[run.session].used, run.began)
            request.ending = .saved
            kept = stored
        case .discarded:
            self.figures.discarded += 1
            self.checker.writeEnded(number, .discarded)
            request.ending = .discarded
        case .degraded(let stored):
            self.figures.degraded += 1
            self.sessions[run.session].isForked = true
            if stored.hasGoneBack, self.checker.isInDoubt(self.sessions[run.session].number) {
                self.checker.reverted(self.sessions[run.session].number)
            }
            self.checker.writeEnded(number, .unknown)
            request.ending = .failed
            kept = stored
        case .unknown:
            self.figures.unknown += 1
            self.sessions[run.session].unknown = (number, self.now)
            self.checker.writeEnded(number, .unknown)
            request.ending = .failed
        case .unavailable:
            self.figures.unavailable += 1
            // A server may have it.
            self.sessions[run.session].unknown = (number, self.now)
            self.checker.writeEnded(number, .unknown)
            request.ending = .failed
        }
        if let kept, run.session == request.session {
            request.stored = kept
            request.loaded = kept.loaded
            request.base = number
            request.plan = .save
        }
        self.wrote(request, run.session, isKept: kept != nil)
    }

    private func finishDestroy(_ run: TierRun, _ outcome: SessionDestroyOutcome) {
        guard case .destroy(let request, let isNew) = run.purpose else { return }
        let isAcknowledged = outcome == .destroyed
        self.note(run.session, "g\(run.gateway) hybrid destroy @\(run.began) ends: \(outcome)")
        if isAcknowledged {
            self.figures.destroyed += 1
            if run.isBuriedInMemcached == true {
                self.checker.destructionWasAcknowledged(self.sessions[run.session].number)
            } else {
                // The other gateways hear of it within a moment, from the database.
                self.sessions[run.session].isBuriedInDatabaseAlone = true
            }
        }
        self.destroyed(request, isNew: isNew, isAcknowledged: isAcknowledged)
    }
}

extension SessionRow {
    fileprivate var buried: RowChange { .tombstone(self) }
}

extension ReplicaOutcome {
    var isDestroyed: Bool {
        switch self {
        case .destroyed, .none: true
        case .chosen, .discarded, .unknown, .unavailable, .degraded, .beyondRepair: false
        }
    }
}

extension SessionLoadOutcome {
    var name: String {
        switch self {
        case .live(let session):
            "\(session.record.name)\(session.isDegraded ? ", degraded" : "")\(session.hasGoneBack ? ", reverted" : "")"
        case .none: "none"
        case .unavailable: "unavailable"
        case .limited: "limited"
        }
    }
}

extension SessionWriteOutcome {
    var name: String {
        switch self {
        case .saved: "saved"
        case .discarded: "discarded"
        case .unknown: "unknown"
        case .degraded: "degraded"
        case .unavailable: "unavailable"
        }
    }
}
