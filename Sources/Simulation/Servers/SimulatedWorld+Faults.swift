import HistoryChecker
import NIOCore
import Sessions

/// A partition between one server and one gateway, or all; in one direction or both.
struct Cut {
    var number: Int
    /// Nil: all.
    var gateway: Int?
    var server: Int
    var isTowardsServer: Bool
    var isBack: Bool

    func concerns(_ gateway: Int, _ server: Int) -> Bool {
        self.server == server && (self.gateway == nil || self.gateway == gateway)
    }
}

/// What goes wrong.
extension SimulatedWorld {
    enum Fault: CaseIterable {
        case crash, freeze, cut, gatewayCrash, gatewayPause, token
        case evict, evictMarker, damage
        case hours, clockJump
        case crashAll, databaseOutage, isolation
    }

    func isCut(_ message: Message, towardsServer: Bool) -> Bool {
        guard !self.cuts.isEmpty else { return false }
        return self.cuts.contains {
            $0.concerns(message.gateway, message.server) && (towardsServer ? $0.isTowardsServer : $0.isBack)
        }
    }

    /// A connection needs both directions.
    func isCut(_ gateway: Int, _ server: Int) -> Bool {
        self.cuts.contains { $0.concerns(gateway, server) }
    }

    func faultIsDue() {
        guard !self.isPeace else { return }
        guard self.restingUntil <= self.now else {
            self.queue.schedule(.fault, at: self.restingUntil)
            return
        }
        self.schedule(.fault, in: self.chance.within(1...(2 * self.weather.faultInterval)))
        var kinds: [Fault] = [.crash, .crash, .freeze, .freeze, .cut, .cut, .token]
        if self.profile.hasSingleFaults {
            guard self.isEverybodyWell else { return }
        } else {
            kinds += [.gatewayCrash, .gatewayPause]
        }
        if self.profile.hasLostItems { kinds += [.evict, .evict, .evict, .damage, .damage, .evictMarker] }
        if self.profile.hasLongTimes { kinds += [.hours, .hours, .clockJump] }
        if self.profile.hasDatabase { kinds += [.crashAll, .databaseOutage, .databaseOutage, .isolation] }
        if self.profile.isRestartHeavy { kinds += [.crash, .crash, .crash, .crash] }
        if self.profile.hasOnlyTotalLosses { kinds = [.crashAll] }
        if self.profile.hasOnlyIsolations { kinds = [.isolation, .isolation, .cut, .gatewayPause] }
        self.figures.faults += 1
        self.inflict(self.chance.one(of: kinds), on: self.chance.below(self.servers.count))
    }

    /// Whether the last fault is over and repaired.
    private var isEverybodyWell: Bool {
        self.cuts.isEmpty && self.servers.allSatisfy { $0.isUp && $0.isComplete && $0.freeze == nil }
            && self.gateways.allSatisfy { $0.links.allSatisfy { $0.state == .up && $0.isComplete } }
    }

    private func inflict(_ fault: Fault, on server: Int) {
        switch fault {
        case .crash:
            self.crash(server)
        case .freeze:
            guard self.servers[server].isUp, self.servers[server].freeze == nil else { return }
            self.note(-1, "s\(server) freezes")
            let freeze = self.servers[server].freezeNow()
            // What was sent to it is done when it thaws: by then a session may have expired that this brings back, or a
            // promise. So it is not frozen for longer than either lives.
            let longest = min(self.weather.idleSeconds, CopyLifetime.promiseSeconds) * 500_000
            self.schedule(.thaw(server: server, freeze: freeze), in: min(self.duration, longest))
        case .cut:
            let isTowardsServer = self.chance.isLucky(percent: 70)
            let cut = Cut(
                number: self.figures.faults,
                gateway: self.chance.isLucky(percent: 60) ? self.chance.below(self.gateways.count) : nil,
                server: server,
                isTowardsServer: isTowardsServer,
                isBack: !isTowardsServer || self.chance.isLucky(percent: 70)
            )
            self.note(-1, "cut between s\(server) and \(cut.gateway.map { "g\($0)" } ?? "all")")
            self.cuts.append(cut)
            self.schedule(.heal(cut: cut.number), in: self.duration)
        case .gatewayCrash:
            self.crashGateway(self.chance.below(self.gateways.count))
        case .gatewayPause:
            let gateway = self.chance.below(self.gateways.count)
            self.note(-1, "g\(gateway) is stopped")
            self.gateways[gateway].pausedUntil = self.now + self.shortDuration
            self.databaseTrouble()
        case .token:
            guard let session = self.anySession else { return }
            self.servers[server].renewToken(session)
        case .evict:
            guard let session = self.anySession, self.servers[server].item(session, at: self.now) != nil else { return }
            self.note(session, "s\(server) evicts it")
            self.servers[server].forget(session)
            self.lost(session, on: server)
        case .damage:
            self.damage(on: server)
        case .evictMarker:
            // It counts as a failure: what a walk may be based on is not known any more.
            guard self.mayForget(server) else { return }
            self.note(-1, "s\(server) evicts its marker")
            self.servers[server].isComplete = false
            self.forgot(server)
        case .hours:
            self.pass(seconds: self.chance.one(of: [30, 600, 3_700, 20 * 3_600, 25 * 3_600]))
        case .crashAll:
            // The only fault of some profiles: gateways too.
            for gateway in self.gateways.indices
            where self.profile.hasOnlyTotalLosses && self.chance.isLucky(percent: 30) {
                self.crashGateway(gateway)
            }
            for server in self.servers.indices { self.crash(server) }
        case .isolation:
            self.isolate(self.chance.below(self.gateways.count))
        case .databaseOutage:
            self.databaseTrouble()
            self.stopDatabase(for: self.duration)
        case .clockJump:
            self.jump(server, seconds: self.chance.one(of: [-600, -10, 10, 600, 24 * 3_600]))
        }
    }

    /// One gateway reaches the database alone; half the time it never comes back from that.
    private func isolate(_ gateway: Int) {
        self.note(-1, "g\(gateway) reaches no server")
        for server in self.servers.indices {
            self.cuts.append(
                Cut(number: self.figures.faults, gateway: gateway, server: server, isTowardsServer: true, isBack: true)
            )
        }
        let end = self.shortDuration
        self.schedule(.heal(cut: self.figures.faults), in: end)
        guard self.chance.isLucky(percent: 50) else { return }
        self.schedule(.gatewayCrash(gateway), in: end)
    }

    private var duration: EventQueue.Time {
        if self.profile.hasLongTimes, self.chance.isLucky(percent: 5) { return 7_200_000_000 }
        return self.shortDuration
    }

    private var shortDuration: EventQueue.Time {
        self.chance.one(of: [1_000, 10_000, 40_000, 150_000]) + self.chance.below(20_000)
    }

    private var anySession: Int? {
        self.sessions.isEmpty ? nil : self.chance.below(self.sessions.count)
    }

    // MARK: Servers

    private func mayForget(_ server: Int) -> Bool {
        self.relevantServers.count { $0 == server || !self.servers[$0].isComplete } <= self.profile.maximumForgetful
    }

    func crash(_ server: Int, isAllowed: Bool = false) {
        guard self.servers[server].isUp, isAllowed || self.mayForget(server) else { return }
        self.note(-1, "s\(server) crashes")
        self.figures.restarts += 1
        self.servers[server].crash()
        if self.mistake == .noWalk { self.servers[server].isComplete = true }
        self.forgot(server)
        for gateway in self.gateways.indices where self.gateways[gateway].links[server].state != .down {
            // At once, or when the next heartbeat is not answered.
            self.schedule(
                .reset(
                    gateway: gateway,
                    server: server,
                    connection: self.gateways[gateway].links[server].connection
                ),
                in: self.chance.isLucky(percent: 70) ? self.chance.below(1_000) : 1_000_000
            )
        }
        self.schedule(.restart(server: server), in: self.chance.one(of: [100, 10_000, 100_000]))
    }

    /// No session that had its servers then is promised more than they can keep: of one whose r servers have forgotten
    /// at a time nothing.
    private func forgot(_ server: Int) {
        for session in self.sessions.indices {
            for servers in self.relevantSets(of: session) where servers.contains(server) {
                let forgetful = servers.count { !self.servers[$0].isComplete || $0 == server }
                if forgetful >= self.sessions[session].set.redundancy { self.lostAllMemory(session) }
            }
            if self.sessions[session].servers.contains(server) { self.countLosses(of: session) }
        }
    }

    func restart(_ server: Int) {
        guard !self.servers[server].isUp else { return }
        self.note(-1, "s\(server) is back, empty")
        self.servers[server].restart()
    }

    func thaw(_ server: Int, freeze: Int) {
        guard self.servers[server].freeze == freeze else { return }
        self.note(-1, "s\(server) thaws")
        for message in self.servers[server].thaw() {
            self.arrive(message)
        }
    }

    /// A bit, the end of it, or another session's value. Noticed, as the record carries a checksum: a copy that does not
    /// decode is one that is not there, so it counts as a failure of the server for this session.
    private func damage(on server: Int) {
        guard let session = self.anySession, let item = self.servers[server].item(session, at: self.now),
            case .bytes(var bytes) = item.value
        else { return }
        let other = self.chance.below(self.sessions.count)
        switch self.chance.below(3) {
        case 0:
            let index = bytes.readerIndex + self.chance.below(bytes.readableBytes)
            if let byte = bytes.getInteger(at: index, as: UInt8.self) {
                bytes.setInteger(byte ^ 1 << UInt8(self.chance.below(8)), at: index)
            }
        case 1:
            bytes = bytes.getSlice(at: bytes.readerIndex, length: self.chance.below(bytes.readableBytes)) ?? bytes
        default:
            guard other != session, let item = self.servers[server].item(other, at: self.now) else { return }
            if case .bytes(let foreign) = item.value { bytes = foreign }
        }
        self.note(session, "s\(server) damages it")
        self.servers[server].replaceValue(session, .bytes(bytes))
        self.servers[server].renewToken(session)
        self.lost(session, on: server)
    }

    // MARK: Gateways

    func crashGateway(_ gateway: Int) {
        guard self.gateways[gateway].isUp else { return }
        self.note(-1, "g\(gateway) crashes")
        self.gateways[gateway].isUp = false
        self.gateways[gateway].life += 1
        self.gateways[gateway].pausedUntil = 0
        self.gateways[gateway].writer = self.chance.next()
        self.gateways[gateway].lastVersion = 0
        self.gatewayCrashes.append(self.now)
        for session in self.sessions { self.checker.mayStaySilent(session.number) }
        self.forgetPool(gateway)
        for server in self.servers.indices {
            let attempt = self.gateways[gateway].links[server].attempt
            self.gateways[gateway].links[server] = SimulatedGateway.Link()
            self.gateways[gateway].links[server].attempt = attempt + 1
        }
        for visitor in self.visitors.indices where self.visitors[visitor].request?.gateway == gateway {
            self.visitors[visitor].request = nil
            self.schedule(.visit(visitor), in: self.chance.within(1...self.weather.pause))
        }
        self.schedule(.gatewayStart(gateway), in: self.chance.within(1_000...50_000))
    }

    func startGateway(_ gateway: Int) {
        guard !self.gateways[gateway].isUp else { return }
        self.gateways[gateway].isUp = true
        self.lookAfterPool(gateway)
        self.beginTier(gateway)
        for server in self.servers.indices {
            self.reconnect(gateway, server)
        }
    }

    // MARK: Time

    /// Nobody comes for a while. What is under way goes on: no message is on its way for longer than a promise lives.
    private func pass(seconds: Int) {
        self.note(-1, "\(seconds) s pass")
        self.restingUntil = self.now + seconds * 1_000_000
    }

    /// What a server then takes for expired before its time is lost; what it keeps for longer must not outlive the
    /// tombstones, so its clock may be late by less than they live longer.
    private func jump(_ server: Int, seconds: Int) {
        let time = seconds * 1_000_000
        guard self.servers[server].lateness - time < 3_000_000_000 else { return }
        self.note(-1, "the clock of s\(server) jumps by \(seconds) s")
        let sessions = self.sessions.indices.filter { self.servers[server].item($0, at: self.now) != nil }
        self.servers[server].jump(time)
        for session in sessions {
            // With a database it goes back to its row then.
            if self.profile.hasDatabase { self.sessions[session].aged += max(0, time) }
            if self.servers[server].item(session, at: self.now) == nil { self.lost(session, on: server) }
        }
    }
}
