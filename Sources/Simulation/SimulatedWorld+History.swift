import HistoryChecker
import Sessions

/// A history: trouble, then peace, in which the sessions must go on and all that was promised must have been kept.
extension SimulatedWorld {
    /// Trouble ends after this at the latest; hours that pass are not counted.
    private static let longestTrouble = 20_000_000

    func play() {
        self.begin()
        let end = self.now + Self.longestTrouble
        while self.figures.operations < self.weather.operations, self.checker.violations.isEmpty,
            self.now < max(end, self.restingUntil + 1_000_000)
        {
            guard self.step() else { break }
        }
        guard self.checker.violations.isEmpty else { return }
        self.makePeace()
        self.examine()
        self.restartEverything()
    }

    private func begin() {
        self.beginRing()
        for gateway in self.gateways.indices { self.beginTier(gateway) }
        for gateway in self.gateways.indices {
            for server in self.servers.indices {
                self.lastConnection += 1
                self.gateways[gateway].links[server].state = .up
                self.gateways[gateway].links[server].connection = self.lastConnection
                self.gateways[gateway].links[server].serverLife = self.servers[server].life
                self.gateways[gateway].links[server].isComplete = self.servers[server].isComplete
            }
        }
        for visitor in self.visitors.indices {
            self.schedule(.visit(visitor), in: 1 + self.chance.below(self.weather.pause))
        }
        self.schedule(.fault, in: self.weather.faultInterval)
    }

    // MARK: Peace

    private func makePeace() {
        self.note(-1, "peace")
        self.isPeace = true
        self.restingUntil = min(self.restingUntil, self.now)
        self.settleRing()
        self.cuts = []
        self.startDatabase()
        for server in self.servers.indices {
            if !self.servers[server].isUp { self.restart(server) }
            if let freeze = self.servers[server].freeze { self.thaw(server, freeze: freeze) }
            // A lease lives as much longer as the clock was set back.
            self.servers[server].leaseExpires = .min
        }
        for gateway in self.gateways.indices {
            self.gateways[gateway].pausedUntil = min(self.gateways[gateway].pausedUntil, self.now)
            self.startGateway(gateway)
        }
        self.recover()
        for session in self.sessions.indices {
            // Settled once more, as nobody may have come since.
            self.settleDoubt(of: session)
            self.settleDoubt(of: session)
            guard self.sessions[session].isBuriedInDatabaseAlone else { continue }
            self.checker.destructionWasAcknowledged(self.sessions[session].number)
        }
    }

    /// Until all servers are filled again, and everybody knows.
    func recover() {
        for server in self.servers.indices where !self.servers[server].isUp { self.restart(server) }
        // What is late arrives, operations end, walks end, servers that were held out are tried again.
        let limit = self.now + 30_000_000 + 4 * self.weather.longestOperation
        self.run(until: self.now + 3_000_000)
        while self.now < limit, !self.isWell, self.step(until: limit) {}
        guard !self.isWell else { return }
        for (number, gateway) in self.gateways.enumerated() {
            if self.profile.nextServers != nil, gateway.view.state.stage != .stable(self.lastRing) {
                self.checker.failedInPeace(
                    "g\(number) works by \(gateway.view.state.name), \(gateway.change.situation)"
                )
            }
            for (server, link) in gateway.links.enumerated()
            where self.lastRing.members.contains(server) && (link.state != .up || !link.isComplete) {
                self.checker.failedInPeace("to g\(number), s\(server) is \(link.state) and not complete again")
            }
        }
    }

    private func run(until limit: EventQueue.Time) {
        while self.step(until: limit) {}
        self.now = max(self.now, limit)
    }

    /// A marker that was evicted is missed when the next connection is made.
    private var isWell: Bool {
        self.gateways.allSatisfy { gateway in
            self.lastRing.members.allSatisfy { gateway.links[$0].state == .up && gateway.links[$0].isComplete }
                && !gateway.memory.isBehind && gateway.memory.unplaced.isEmpty
                && (self.profile.nextServers == nil || gateway.view.state.stage == .stable(self.lastRing))
        }
    }

    /// Every session through every gateway: loaded, saved, and loaded through the next one.
    private func examine() {
        for session in self.sessions.indices {
            for gateway in self.gateways.indices where self.checker.violations.isEmpty {
                guard let saved = self.saveInPeace(session, gateway) else { continue }
                guard let next = self.loadInPeace(session, (gateway + 1) % self.gateways.count),
                    next.base?.index == saved
                else {
                    self.failed(session, "a load after the save through g\(gateway) finds something else")
                    continue
                }
            }
        }
    }

    /// - Returns: the number of the write; nil where there is no session, or where a save should have succeeded: then that
    ///   was told.
    private func saveInPeace(_ session: Int, _ gateway: Int) -> Int? {
        // A write that was left half done may yet win over the first, or a destruction; after that there is nothing left
        // of the trouble.
        for attempt in 1...3 {
            guard let request = self.loadInPeace(session, gateway) else { return nil }
            let saved = self.identities.count
            request.ending = .running
            self.save(request)
            self.runToEnd(request)
            if request.ending == .saved { return saved }
            guard request.ending == .discarded, attempt < 3 else {
                self.failed(session, "a save through g\(gateway) ends \(request.ending)")
                return nil
            }
        }
        return nil
    }

    /// - Returns: nil where there is no session, or where there should be one: then that was told.
    func loadInPeace(_ session: Int, _ gateway: Int) -> Request? {
        let mustBeThere = self.checker.mustBeThere(self.sessions[session].number)
        let request = Request(
            visitor: -1,
            gateway: gateway,
            gatewayLife: self.gateways[gateway].life,
            session: session
        )
        self.load(request)
        self.runToEnd(request)
        switch request.ending {
        case .live:
            return request
        case .none:
            // That it may be gone, by its own time, the checker knows.
            return nil
        case .running, .failed, .saved, .discarded:
            let wish = mustBeThere ? "is there" : "may be there"
            self.failed(session, "a load through g\(gateway) ends \(request.ending), and the session \(wish)")
            return nil
        }
    }

    func failed(_ session: Int, _ story: String) {
        self.checker.failedInPeace(self.sessions[session].number, story)
    }

    private func runToEnd(_ request: Request) {
        while request.ending == .running, self.checker.violations.isEmpty, self.step() {}
    }
}
