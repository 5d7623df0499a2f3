import HistoryChecker
import Sessions

/// The database, and what gateways tell it behind the responses; only in histories that have one.
extension SimulatedWorld {
    private static let callTimeout = 60_000

    /// How often a gateway looks whether something is due.
    var beat: EventQueue.Time { self.profile.hasLongTimes ? 100_000 : 5_000 }
    /// The same while nobody comes and nothing waits.
    static let restingBeat = 10_000_000

    func session(_ key: SessionKey) -> Int? { self.sessionNumbers[key] }

    func timestamp(_ gateway: Int) -> SessionRecord.Timestamp {
        SessionRecord.Timestamp(self.clock(gateway) / 1_000)
    }

    // MARK: Calls

    func call(_ request: DatabaseCall.Request, for waiter: DatabaseCall.Waiter, _ gateway: Int) {
        let call = DatabaseCall(
            request,
            for: waiter,
            gateway: gateway,
            gatewayLife: self.gateways[gateway].life
        )
        self.figures.databaseCalls += 1
        self.schedule(.databaseTimeout(call), in: Self.callTimeout)
        if !self.isPeace, self.chance.isLucky(percent: self.weather.lossPercent) {
            self.figures.faults += 1
            self.databaseTrouble(for: Self.callTimeout)
            // A statement may still be carried out when nobody waits for it any more.
            guard self.chance.isLucky(percent: 50) else { return }
            self.schedule(.databaseArrival(call), in: self.chance.within(1...(2 * Self.callTimeout)))
            return
        }
        self.schedule(.databaseArrival(call), in: self.chance.within(100...2_000))
    }

    func arrive(_ call: DatabaseCall) {
        guard !self.isDatabaseDown else {
            guard !call.isOver else { return }
            call.answer = .failed(mayHaveHappened: false)
            self.schedule(.databaseAnswer(call), in: self.chance.within(50...500))
            return
        }
        switch call.request {
        case .load(let key): call.answer = .row(self.database.load(key))
        case .due(let time): call.answer = .due(self.database.due(at: time, limit: 100))
        case .apply(let changes): call.answer = .results(changes.map { self.apply($0) })
        }
        guard !call.isOver else { return }
        if !self.isPeace, self.chance.isLucky(percent: self.weather.lossPercent) {
            self.figures.faults += 1
            self.databaseTrouble(for: Self.callTimeout)
            return
        }
        self.schedule(.databaseAnswer(call), in: self.chance.within(50...500))
    }

    private func apply(_ change: RowChange) -> RowChangeResult {
        let result: RowChangeResult
        let before = self.database.load(change.key)
        if let falsified = self.falsified(change) { result = falsified } else { result = self.database.apply(change) }
        guard let session = self.session(change.key) else { return result }
        self.note(session, "the database: \(change.name) \(result.isApplied ? "applied" : "refused")")
        guard result.isApplied else { return result }
        if case .upsert(let row, .ancestors) = change, let before, self.mistake == nil {
            self.countLongLine(row.record, over: before.record, session)
        }
        switch change {
        case .delete: self.judgeReaping(session)
        case .insert(let row), .compareAndSave(let row, _), .upsert(let row, _): self.slid(session, until: row.expires)
        case .touch(_, let expires, _, _, _): self.slid(session, until: expires)
        case .tombstone, .mark, .confirm, .postpone, .makeDue: break
        }
        return result
    }

    private func slid(_ session: Int, until expires: SessionRecord.Timestamp) {
        let time = Int(expires) * 1_000 - Self.longestLag - self.weather.idleSeconds * 1_000_000
        self.sessions[session].slid = max(self.sessions[session].slid, time)
    }

    func answered(_ call: DatabaseCall) {
        guard !call.isOver, self.gateways[call.gateway].life == call.gatewayLife, let answer = call.answer else {
            return
        }
        call.isOver = true
        self.deliver(answer, call)
    }

    func timedOut(_ call: DatabaseCall) {
        guard !call.isOver, self.gateways[call.gateway].life == call.gatewayLife else { return }
        call.isOver = true
        self.deliver(.failed(mayHaveHappened: true), call)
    }

    private func deliver(_ answer: DatabaseCall.Answer, _ call: DatabaseCall) {
        let gateway = call.gateway
        switch (call.waiter, answer) {
        case (.operation(let run), .row(let row)):
            if row?.record.isTombstone == true { run.isBuriedInRow = true }
            self.answered(run, .row(row))
        case (.operation(let run), .results(let results)):
            self.answered(run, .changed(results[0]))
        case (.operation(let run), .failed(let mayHaveHappened)):
            run.hasDatabaseFailed = true
            self.answered(run, .failed(mayHaveHappened: mayHaveHappened))
        case (.burial(let run), _):
            if case .results(let results) = answer { run.isBuriedInDatabase = results[0].isApplied }
            run.isBuriedInDatabase = run.isBuriedInDatabase ?? false
            self.buried(run)
        case (.sync(let batch), .results(let results)):
            let now = self.timestamp(gateway)
            let (next, rowless) = self.gateways[gateway].memory.batchWritten(batch, results, at: now)
            self.gateways[gateway].isSyncing = false
            if !next.isEmpty { self.call(.apply(next), for: .nobody, gateway) }
            self.look(for: rowless, gateway)
        case (.sync(let batch), _):
            self.gateways[gateway].memory.batchFailed(batch)
            self.gateways[gateway].isSyncing = false
        case (.touches(let batch), .results(let results)):
            self.look(for: self.gateways[gateway].memory.touched(batch, results), gateway)
        case (.question(let absences), .due(let rows)):
            for row in rows { self.gateways[gateway].memory.adopt(row.key) }
            self.gateways[gateway].memory.caughtUp(absences)
            self.placeAll(gateway)
        case (.place(let run), _):
            self.answered(run, answer)
        case (.reap(let run), .due(let rows)):
            self.look(run, rows)
        case (.reap(let run), _):
            if self.reaper === run { self.reaper = nil }
        case (.reaped(let run, let changes), .results(let results)):
            self.reaped(run, changes, results)
        case (.operation, .due), (.touches, _), (.question, _), (.reaped, _), (.nobody, _):
            break
        }
    }

    // MARK: Behind the responses

    /// A process begins, with nothing in its memory.
    func beginTier(_ gateway: Int) {
        guard self.profile.hasDatabase else { return }
        self.gateways[gateway].memory = TierMemory(
            configuration: self.weather.tier,
            writer: self.gateways[gateway].writer
        )
        self.gateways[gateway].isSyncing = false
        self.gateways[gateway].beats = 0
        self.gateways[gateway].nextTouch = self.now + self.touchInterval
        self.gateways[gateway].placing = []
        self.gateways[gateway].sawLoss = .min
        let life = self.gateways[gateway].life
        self.schedule(.beat(gateway: gateway, gatewayLife: life), in: self.chance.below(self.beat) + 1)
        self.schedule(.reap(gateway: gateway, gatewayLife: life), in: self.chance.below(50_000) + 1)
    }

    /// As `DatabaseTier.run` does it.
    func beat(_ gateway: Int, _ life: Int) {
        guard self.gateways[gateway].life == life, self.gateways[gateway].isUp else { return }
        self.gateways[gateway].beats += 1
        self.writeDue(gateway)
        let memory = self.gateways[gateway].memory
        let isResting =
            self.restingUntil > self.now && memory.queue.count == 0 && memory.queue.questionCount == 0
            && memory.unplaced.isEmpty
        self.schedule(.beat(gateway: gateway, gatewayLife: life), in: isResting ? Self.restingBeat : self.beat)
        if self.now >= self.gateways[gateway].nextTouch {
            self.gateways[gateway].nextTouch = self.now + self.touchInterval
            let touches = memory.touches.batch(limit: 1_000).sorted {
                $0.key.bytes.lexicographicallyPrecedes($1.key.bytes)
            }
            let changes = self.weather.tier.changes(for: touches, at: self.timestamp(gateway))
            if !changes.isEmpty { self.call(.apply(changes), for: .touches(touches), gateway) }
        }
        let isReady = self.gateways[gateway].links.count { $0.state == .up } >= self.profile.redundancy
        let hasForgotten = self.gateways[gateway].links.count { !$0.isComplete } >= self.profile.redundancy
        if hasForgotten { self.gateways[gateway].sawLoss = self.now }
        if hasForgotten, self.mistake != .oldCopies {
            self.gateways[gateway].memory.memcachedHasForgotten(at: self.timestamp(gateway))
        }
        if isReady { self.askForRivals(gateway) }
        if !isReady {
            self.gateways[gateway].memory.memcachedWasAway()
        } else if memory.isBehind || !memory.unplaced.isEmpty || self.gateways[gateway].beats.isMultiple(of: 10) {
            self.call(.due(at: SessionRow.unplaced), for: .question(absences: memory.catchingUp()), gateway)
        }
    }

    private var touchInterval: EventQueue.Time {
        guard self.profile.hasLongTimes else { return 20 * self.beat }
        let tier = self.weather.tier
        return Int(max(tier.syncInterval, tier.idleLifetime / 8).wholeMilliseconds) * 1_000
    }

    // MARK: Outages

    func databaseTrouble(for time: EventQueue.Time = 0) {
        self.lastTrouble = max(self.lastTrouble, self.now + time)
        for session in self.sessions { self.checker.mayStaySilent(session.number) }
    }

    func stopDatabase(for time: EventQueue.Time) {
        guard !self.isDatabaseDown else { return }
        self.note(-1, "the database is down")
        self.isDatabaseDown = true
        self.schedule(.databaseStart, in: time)
    }

    func startDatabase() {
        guard self.isDatabaseDown else { return }
        self.note(-1, "the database is back")
        self.isDatabaseDown = false
        self.databaseTrouble()
    }
}

extension RowChange {
    var name: String {
        switch self {
        case .insert(let row): "insert \(row.record.name)"
        case .compareAndSave(let row, _): "save \(row.record.name)"
        case .upsert(let row, let replaced):
            "upsert \(row.record.name), v\(row.record.identity.version % 1_000_000_000) over \(replaced)"
        case .tombstone(let row): "tombstone, due \(row.due == SessionRow.unplaced ? "in memcached" : "never")"
        case .touch(_, _, _, let newest, _): "touch v\(newest % 1_000_000_000)"
        case .mark(_, let newest): "mark v\(newest % 1_000_000_000)"
        case .confirm: "confirm"
        case .postpone: "postpone"
        case .makeDue: "make due"
        case .delete: "delete"
        }
    }
}
