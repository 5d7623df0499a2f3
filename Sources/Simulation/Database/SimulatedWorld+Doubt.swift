import HistoryChecker
import Sessions

/// What may be lost when all servers of a session have forgotten it, counted exactly.
extension SimulatedWorld {
    /// More than the promises of memcached allow has failed for the session.
    func lostAllMemory(_ session: Int) {
        guard self.profile.hasDatabase else { return self.exempt(session) }
        let known = self.sessions[session]
        // All servers at once are one loss. Where other things fail too, whoever should say that the session went back may be
        // unable to: there a second server that forgets takes the duty away.
        if self.profile.hasOnlyTotalLosses, known.lost == self.now, self.checker.isInDoubt(known.number) { return }
        self.note(session, "all memory may be lost")
        self.figures.doubts += 1
        let row = known.key.flatMap { self.database.load($0) }
        let isFirst = !self.checker.isInDoubt(known.number)
        if isFirst, !known.isForked { self.keepWhatIsOld(session) }
        self.checker.mayGoBack(
            known.number,
            isBuried: row?.record.isTombstone ?? false,
            mustSay: isFirst && self.isMarked(session)
        )
        self.sessions[session].lost = self.now
        self.sessions[session].recovered = nil
    }

    /// What was acknowledged longer ago than a gateway waits, while nothing else was wrong, the database has.
    private func keepWhatIsOld(_ session: Int) {
        let latest = self.now - Int(self.weather.tier.syncInterval.wholeMilliseconds) * 1_000 - self.lagSlack
        for (number, time) in self.sessions[session].acknowledged.reversed() where time <= latest {
            if time > max(self.lastTrouble, self.gatewayCrashes.last ?? 0), !self.isDatabaseDown {
                self.checker.keeps(number)
            }
            return
        }
    }

    /// Whether the row says for certain that there is a newer state, if it has not the newest itself.
    private func isMarked(_ session: Int) -> Bool {
        let known = self.sessions[session]
        // A save that ended without anybody knowing how may have been seen: of that the row is told too.
        guard !known.isForked, !self.isDatabaseDown, let newest = self.checker.newest(known.number),
            let ended = [known.acknowledged.last, known.unknown].lazy.compactMap({ $0 }).first(where: {
                $0.number == newest
            })
        else { return false }
        // Or the gateway had died before it could do that.
        let told = ended.time + self.lagSlack
        return ended.time > self.lastTrouble && told <= self.now
            && !self.gatewayCrashes.contains { $0 >= ended.time && $0 <= told }
    }

    /// A visitor was told that an acknowledged state is lost. It may be one of which nobody was told how it ended.
    func saidToHaveGoneBack(_ session: Int) {
        let known = self.sessions[session]
        guard known.unknown == nil || self.checker.isInDoubt(known.number) else { return }
        self.checker.reverted(known.number)
    }

    /// Whether the gateway can have missed that all memory of the session was lost: it began later, or was stopped.
    func mayNotKnowOfLoss(_ run: TierRun) -> Bool {
        let known = self.sessions[run.session]
        return self.checker.isInDoubt(known.number) && self.gateways[run.gateway].sawLoss < known.lost
    }

    /// From when something is due until the database has it, where nothing is wrong.
    private var lagSlack: EventQueue.Time { 4 * self.beat + 10_000 }

    /// The loss is over when the servers have been filled again, and everything that began before has ended.
    func settleDoubt(of session: Int) {
        let known = self.sessions[session]
        guard self.profile.hasDatabase, self.checker.isInDoubt(known.number) else { return }
        guard known.servers.count(where: { !self.servers[$0].isComplete }) < known.set.redundancy else {
            self.sessions[session].recovered = nil
            return
        }
        guard let recovered = known.recovered else {
            self.sessions[session].recovered = self.now
            return
        }
        self.sessions[session].running.removeAll { $0.isOver || self.gateways[$0.gateway].life != $0.gatewayLife }
        self.sessions[session].tierRuns.removeAll { $0.isOver || self.gateways[$0.gateway].life != $0.gatewayLife }
        guard !self.sessions[session].running.contains(where: { $0.began <= recovered }),
            !self.sessions[session].tierRuns.contains(where: { $0.began <= recovered })
        else { return }
        self.checker.lossIsRepaired(known.number)
    }

    /// Nine degraded saves of one line: what is older than the ancestors that the last one names is taken for one of them.
    /// Nothing is promised of a session where that was wrong.
    func countLongLine(_ record: SessionRecord, over other: SessionRecord, _ session: Int) {
        guard let number = record.writeNumber, let older = other.writeNumber,
            !record.ancestors.contains(other.identity), !self.checker.comes(number, from: older)
        else { return }
        self.exempt(session)
    }

    func mayHaveExpired(_ session: Int) -> Bool {
        let idle = self.weather.idleSeconds * 1_000_000
        return self.now > self.sessions[session].used + idle - min(60_000_000, idle / 2) - self.sessions[session].aged
    }

    // MARK: In peace

    /// All servers restart at once: what the visitors have seen last must come back, and nothing else.
    func restartEverything() {
        guard self.profile.hasDatabase, self.checker.violations.isEmpty else { return }
        // An interval until what waits is written, and another one until memcached is asked what others have saved.
        let interval = Int(self.weather.tier.syncInterval.wholeMilliseconds) * 1_000
        let limit = self.now + 5_000_000 + Self.restingBeat + 2 * interval
        while self.now < limit, !self.isDatabaseUpToDate, self.step(until: limit) {}
        for (number, gateway) in self.gateways.enumerated()
        // The reaper may have had a question up to now.
        where gateway.memory.queue.count > 0 || !gateway.memory.unplaced.isEmpty || gateway.isSyncing {
            self.checker.failedInPeace(
                "g\(number) has something to tell that nobody hears: \(gateway.memory.queue.count) rows, "
                    + "\(gateway.memory.unplaced.count) to memcached"
            )
        }
        for session in self.sessions.indices where !self.isRowUpToDate(session) {
            self.failed(session, "its row is not what memcached has")
        }
        guard self.checker.violations.isEmpty else { return }
        self.note(-1, "all servers restart")
        for session in self.sessions where self.checker.mustBeThere(session.number) {
            if let last = session.acknowledged.last { self.checker.keeps(last.number) }
        }
        for server in self.servers.indices { self.crash(server, isAllowed: true) }
        self.recover()
        for session in self.sessions.indices where self.checker.violations.isEmpty {
            self.settleDoubt(of: session)
            self.settleDoubt(of: session)
            for gateway in self.gateways.indices { _ = self.loadInPeace(session, gateway) }
        }
    }

    private var isDatabaseUpToDate: Bool {
        self.gateways.allSatisfy {
            $0.memory.queue.count == 0 && $0.memory.queue.questionCount == 0 && $0.memory.unplaced.isEmpty
                && !$0.isSyncing
        }
            && self.sessions.indices.allSatisfy { self.isRowUpToDate($0) }
    }

    private func isRowUpToDate(_ session: Int) -> Bool {
        let known = self.sessions[session]
        guard let last = known.acknowledged.last, let key = known.key, self.checker.mustBeThere(known.number),
            !self.mayHaveExpired(session)
        else { return true }
        return self.database.load(key)?.record.writeNumber == last.number
    }
}
