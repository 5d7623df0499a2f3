import HistoryChecker
import Sessions

/// What visitors do, and what they are told.
extension SimulatedWorld {
    /// Beyond it no session is created; what is there is used up to the end.
    private static let maximumSessions = 12
    /// Of a server's clock and of lifetimes that are cut to whole seconds, in a profile where both matter.
    private static let slack = 60_000_000

    func newSession() -> Int {
        let set = ReplicaLayout(redundancy: self.profile.redundancy, servers: self.profile.servers, placement: 7)
        let (servers, former, next) = self.newServers()
        var key: SessionKey?
        if self.codec != nil || self.profile.hasDatabase {
            key = SessionID("session-of-the-simulation-\(self.sessions.count)").map {
                self.weather.tier.keyspace.key(for: $0)
            }
        }
        if let key { self.sessionNumbers[key] = self.sessions.count }
        self.sessions.append(
            Session(
                number: self.checker.newSession(),
                set: set,
                servers: servers,
                formerServers: former,
                nextServers: next,
                key: key,
                used: self.now,
                slid: self.now
            )
        )
        self.figures.sessions += 1
        return self.sessions.count - 1
    }

    // MARK: Requests

    func visit(_ visitor: Int) {
        guard !self.isPeace, self.visitors[visitor].request == nil else { return }
        guard self.restingUntil <= self.now else {
            self.queue.schedule(.visit(visitor), at: self.restingUntil + self.chance.below(self.weather.pause) + 1)
            return
        }
        guard self.figures.operations < self.weather.operations else { return }
        let gateway = self.chance.below(self.gateways.count)
        guard self.gateways[gateway].isUp else {
            self.schedule(.visit(visitor), in: self.chance.within(1...(2 * self.weather.pause)))
            return
        }
        // Mostly one hot session; sometimes the one it had, or an old cookie.
        var session = self.sessions.isEmpty ? nil : self.sessions.count - 1
        if let own = self.visitors[visitor].session, self.chance.isLucky(percent: 30) { session = own }
        if self.sessions.count > 1, self.chance.isLucky(percent: 8) { session = self.chance.below(self.sessions.count) }
        let isNew = session == nil || (self.sessions.count < Self.maximumSessions && self.chance.isLucky(percent: 2))
        let request = Request(
            visitor: visitor,
            gateway: gateway,
            gatewayLife: self.gateways[gateway].life,
            session: isNew ? self.newSession() : session ?? 0
        )
        self.visitors[visitor].request = request
        self.visitors[visitor].session = request.session
        if isNew { self.create(request, request.session) } else { self.load(request) }
    }

    func end(_ request: Request) {
        guard request.visitor >= 0, self.visitors[request.visitor].request === request else { return }
        self.visitors[request.visitor].request = nil
        // Whoever got an error waits a little.
        let pause = self.weather.pause * 2 + (request.ending == .failed ? 20_000 : 0)
        self.schedule(.visit(request.visitor), in: self.chance.within(1...pause))
        // As `SessionStore.maintain` does behind a response.
        guard let loaded = request.loaded, loaded.needsRepair, !self.isPeace else { return }
        self.start(
            .keep,
            session: request.session,
            gateway: request.gateway,
            for: .repair,
            timeout: self.weather.longestOperation
        )
    }

    // MARK: Loads

    func load(_ request: Request) {
        let session = self.sessions[request.session]
        request.ending = .running
        self.settleDoubt(of: request.session)
        if self.profile.hasDatabase {
            self.figures.loads += 1
            // What expires in memcached before the row has it is lost there.
            if self.mayHaveExpired(request.session) { self.lostAllMemory(request.session) }
            let beginning = self.checker.readBegan(session.number)
            return self.start(.load(client: nil), request.session, request.gateway, for: .load(request, beginning))
        }
        self.figures.loads += 1
        self.start(
            .load,
            session: request.session,
            gateway: request.gateway,
            for: .load(
                request,
                self.checker.readBegan(session.number),
                mustHaveExpired: self.mustHaveExpired(request.session)
            ),
            timeout: self.weather.loadTimeout
        )
    }

    /// Whatever server has it still.
    func mustHaveExpired(_ session: Int) -> Bool {
        let lifetime = self.weather.idleSeconds * 1_000_000 + self.lateness
        return self.profile.hasLongTimes && self.now > self.sessions[session].slid + lifetime
    }

    /// How much longer than by its own clock a server may keep what it has.
    private var lateness: EventQueue.Time {
        Self.slack + (self.servers.map(\.lateness).max() ?? 0)
    }

    func loaded(
        _ request: Request,
        _ beginning: HistoryChecker.Beginning,
        _ outcome: ReplicaOutcome,
        mustHaveExpired: Bool,
        began: EventQueue.Time
    ) {
        let session = request.session
        switch outcome {
        case .chosen(let loaded):
            guard let number = self.verified(loaded.record, session) else {
                request.ending = .failed
                self.checker.readWasCorrupt(beginning)
                return self.end(request)
            }
            // Where only a server whose clock was set back has it still, it may be what was superseded.
            if self.servers.contains(where: { $0.lateness > 0 }),
                began > self.sessions[session].used + self.weather.idleSeconds * 1_000_000
            {
                self.exempt(session)
            }
            self.checker.readEnded(beginning, number)
            if mustHaveExpired { self.checker.readAfterExpiry(self.sessions[session].number) }
            self.sessions[session].used = max(self.sessions[session].used, began)
            request.ending = .live
            request.loaded = loaded
            request.base = number
            self.goOn(request)
        case .none:
            self.checker.readEndedWithNothing(beginning, mayHaveExpired: self.mayHaveExpired(session))
            self.foundNothing(request)
        case .unavailable(let best, _):
            self.figures.unavailable += 1
            request.ending = .failed
            guard self.profile.isDegradedServed, let best, !best.record.isTombstone,
                let number = self.verified(best.record, session)
            else { return self.end(request) }
            self.figures.degraded += 1
            request.loaded = best
            request.base = number
            self.goOn(request)
        case .destroyed, .discarded, .unknown, .degraded, .beyondRepair:
            request.ending = .failed
            self.end(request)
        }
    }

    func foundNothing(_ request: Request) {
        request.ending = .none
        if request.visitor >= 0 { self.visitors[request.visitor].session = nil }
        if request.visitor >= 0, !self.isPeace, request.session == self.sessions.count - 1,
            self.sessions.count < Self.maximumSessions
        {
            // The hot session is over: another one begins.
            request.session = self.newSession()
            self.visitors[request.visitor].session = request.session
            self.create(request, request.session)
            return
        }
        self.end(request)
    }

    /// - Returns: nil where the payload is not what was written under this identity.
    func verified(_ record: SessionRecord, _ session: Int) -> HistoryChecker.WriteNumber? {
        guard let number = record.writeNumber, record.sessionIndex == session, number.index < self.identities.count,
            self.identities[number.index] == record.identity || self.aliases[record.identity] == number.index
        else { return nil }
        return number
    }

    /// What the backend wants of the session that was loaded.
    func goOn(_ request: Request) {
        guard request.visitor >= 0, !self.isPeace else { return self.end(request) }
        switch self.chance.below(100) {
        case ..<20: return self.end(request)
        case ..<92: request.plan = .save
        case ..<95: request.plan = .destroy
        default: request.plan = .regenerate
        }
        let wait = self.chance.one(of: [0, 200, 2_000, 10_000, 100_000])
        if wait == 0 { self.act(request) } else { self.schedule(.act(request), in: wait) }
    }

    func act(_ request: Request) {
        guard self.gateways[request.gateway].life == request.gatewayLife else { return }
        switch request.plan {
        case .save:
            self.save(request)
        case .destroy:
            self.destroy(request, request.session, isNew: false)
        case .regenerate:
            self.go(request, request.regeneration.start())
        }
    }

    // MARK: Regeneration

    private func go(_ request: Request, _ step: Regeneration.Step) {
        switch step {
        case .create:
            let session = self.newSession()
            request.newSession = session
            self.create(request, session)
        case .destroyOld:
            self.destroy(request, request.session, isNew: false)
        case .destroyNew:
            guard let session = request.newSession else { return self.end(request) }
            self.destroy(request, session, isNew: true)
        case .finish(let hasMoved):
            if hasMoved, let session = request.newSession, request.visitor >= 0 {
                self.figures.moved += 1
                self.visitors[request.visitor].session = session
            }
            self.end(request)
        }
    }

    // MARK: Destroying

    private func destroy(_ request: Request, _ session: Int, isNew: Bool) {
        self.checker.destructionBegan(self.sessions[session].number)
        if self.profile.hasDatabase {
            return self.start(.destroy, session, request.gateway, for: .destroy(request, isNew: isNew))
        }
        self.start(
            .destroy(identity: self.newIdentity(request.gateway, after: nil)),
            session: session,
            gateway: request.gateway,
            for: .destroy(request, isNew: isNew),
            timeout: 2 * self.weather.loadTimeout
        )
    }

    func destroyed(_ request: Request, isNew: Bool, _ operation: RunningOperation, _ outcome: ReplicaOutcome) {
        let isAcknowledged = outcome.isDestroyed
        if isAcknowledged {
            self.figures.destroyed += 1
            self.checker.destructionWasAcknowledged(self.sessions[operation.session].number)
        }
        self.destroyed(request, isNew: isNew, isAcknowledged: isAcknowledged)
    }

    func destroyed(_ request: Request, isNew: Bool, isAcknowledged: Bool) {
        request.loaded = nil
        guard request.plan == .regenerate else { return self.end(request) }
        self.go(
            request,
            isNew
                ? request.regeneration.newDestroyed()
                : request.regeneration.oldDestroyed(isAcknowledged: isAcknowledged)
        )
    }

    /// The new id is there, or not.
    func regenerationCreated(_ request: Request, isKept: Bool) {
        self.go(request, request.regeneration.created(isKept: isKept))
    }
}
