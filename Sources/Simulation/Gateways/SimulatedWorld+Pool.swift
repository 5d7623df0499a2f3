import Sessions

/// Servers by number.
struct SimulatedRing: PoolRing {
    var members: [Int]
    var redundancy: Int
    var drained: Set<Int> = []

    func placesAlike(_ other: SimulatedRing) -> Bool {
        self.members == other.members && self.redundancy == other.redundancy
    }
}

/// The state of the pool, as `ReplicaPool` and `PoolKeeper` look after it; only in histories in which the ring changes.
extension SimulatedWorld {
    var hasRingChange: Bool { self.rings.next != nil }

    var barrier: Int64 {
        if self.mistake == .ringNoBarrier { return 0 }
        return Int64(self.weather.lease + self.weather.longestOperation + 1_000)
    }

    // MARK: Where sessions are

    /// In any ring order, as on a circle.
    func newServers() -> (all: [Int], former: [Int], next: [Int]) {
        var order = Array(self.servers.indices)
        order.shuffle(using: &self.chance)
        func first(of ring: SimulatedRing) -> [Int] {
            let count = ReplicaLayout(redundancy: ring.redundancy, servers: ring.members.count, placement: 0).count
            return Array(order.filter { ring.members.contains($0) }.prefix(count))
        }
        let former = first(of: self.rings.first)
        guard let ring = self.rings.next else { return (former, former, former) }
        let next = first(of: ring)
        return (former + next.filter { !former.contains($0) }, former, next)
    }

    func placement(of session: Int, by state: PoolState<SimulatedRing>) -> (set: ReplicaLayout, servers: [Int]) {
        let known = self.sessions[session]
        guard self.hasRingChange else { return (known.set, known.servers) }
        let (old, oldServers) = self.placement(known, state.guardian)
        guard !state.isStable else { return (old, oldServers) }
        let (new, newServers) = self.placement(known, state.goal)
        var hasMoved = false
        if case .joined = state.stage { hasMoved = true }
        return ReplicaLayout.joint(old, oldServers, new, newServers, hasMoved: hasMoved) ?? (old, oldServers)
    }

    private func placement(_ session: Session, _ ring: SimulatedRing) -> (set: ReplicaLayout, servers: [Int]) {
        let servers = ring == self.rings.first ? session.formerServers : session.nextServers
        let set = ReplicaLayout(
            redundancy: ring.redundancy,
            servers: ring.members.count,
            placement: servers.reduce(UInt32(ring.redundancy)) { ($0 ^ UInt32($1 + 100)) &* 16_777_619 },
            drained: Positions.first(servers.count).filtered { ring.drained.contains(servers[$0]) }
        )
        return (set, servers)
    }

    // MARK: What counts as a failure

    /// The members of the first ring until it is left, those of the next one from when they are heard.
    var relevantServers: [Int] {
        guard let next = self.rings.next else { return Array(self.servers.indices) }
        let first = self.isFirstLeft ? [] : self.rings.first.members
        return first + (self.isNextHeard ? next.members.filter { !first.contains($0) } : [])
    }

    func relevantSets(of session: Int) -> [[Int]] {
        let known = self.sessions[session]
        guard self.hasRingChange else { return [known.servers] }
        return (self.isFirstLeft ? [] : [known.formerServers]) + (self.isNextHeard ? [known.nextServers] : [])
    }

    private var isFirstLeft: Bool {
        guard let next = self.rings.next else { return false }
        return self.gateways.allSatisfy { $0.view.state.stage == .stable(next) && $0.view.state.epoch > 0 }
    }

    func mark(_ server: Int, _ state: PoolState<SimulatedRing>) {
        self.servers[server].mark(state)
        guard self.hasRingChange else { return }
        self.note(-1, "s\(server) is marked \(state.name)")
        if case .joining = state.stage { return }
        guard state.goal == self.rings.next, !self.isNextHeard else { return }
        self.isNextHeard = true
        for session in self.sessions.indices {
            let forgetful = self.sessions[session].nextServers.count { !self.servers[$0].isComplete }
            if forgetful >= self.sessions[session].set.redundancy { self.exempt(session) }
        }
    }

    // MARK: Gateways

    func beginRing() {
        guard let next = self.rings.next else { return }
        let state = PoolState(epoch: 1, stage: .stable(self.rings.first))
        for server in self.servers.indices {
            if self.rings.first.members.contains(server) {
                self.servers[server].mark(state)
            } else {
                self.servers[server].isComplete = false
            }
        }
        let begins = self.chance.below(400_000)
        for gateway in self.gateways.indices {
            self.lookAfterPool(gateway)
            self.schedule(.configure(gateway: gateway, ring: next), in: begins + self.chance.below(100_000))
        }
        if self.chance.isLucky(percent: 15) {
            // It was a mistake: back.
            self.lastRing = self.rings.first
            let ends = begins + 100_000 + self.chance.below(600_000)
            for gateway in self.gateways.indices {
                self.schedule(
                    .configure(gateway: gateway, ring: self.rings.first),
                    in: ends + self.chance.below(100_000)
                )
            }
        }
    }

    func settleRing() {
        for gateway in self.gateways.indices { self.configure(gateway, self.lastRing) }
    }

    func configure(_ gateway: Int, _ ring: SimulatedRing) {
        guard self.hasRingChange, !self.isPeace || ring == self.lastRing else { return }
        self.note(-1, "g\(gateway) is configured with \(ring.members), drained \(ring.drained.sorted())")
        self.gateways[gateway].configured = ring
        if self.mistake == .ringDirect {
            let state = self.gateways[gateway].view.state.followed(by: .stable(ring))
            self.saw(gateway, state, on: ring.members[0], asked: self.now)
        }
    }

    /// Begins, when the process does.
    func lookAfterPool(_ gateway: Int) {
        guard self.hasRingChange else { return }
        let life = self.gateways[gateway].life
        self.schedule(.check(gateway: gateway, gatewayLife: life), in: self.chance.below(self.weather.lease / 4) + 1)
        self.schedule(.lookAfterPool(gateway: gateway, gatewayLife: life), in: self.chance.below(20_000) + 1)
    }

    /// A new process: it knows what it is configured with, and perhaps what it has kept in a file.
    func forgetPool(_ gateway: Int) {
        guard self.hasRingChange else { return }
        var assumed = PoolState(epoch: 0, stage: .stable(self.gateways[gateway].configured))
        if self.chance.isLucky(percent: 50) { assumed = self.gateways[gateway].view.state }
        self.gateways[gateway].view = PoolView(assumed: assumed, lease: Int64(self.weather.lease))
        self.gateways[gateway].change = RingChange(barrier: self.barrier, patience: .max)
        self.gateways[gateway].move = nil
    }

    // MARK: Markers

    func checkMarkers(_ gateway: Int, _ life: Int) {
        guard self.gateways[gateway].life == life else { return }
        for server in self.servers.indices { self.checkMarker(gateway, server) }
        self.schedule(.check(gateway: gateway, gatewayLife: life), in: self.weather.lease / 4)
    }

    func checkMarker(_ gateway: Int, _ server: Int) {
        guard self.gateways[gateway].links[server].state == .up else { return }
        self.transmit(self.message(.marker, for: .check(self.now), gateway, server))
    }

    func saw(
        _ message: Message,
        isThere: Bool,
        _ state: PoolState<SimulatedRing>?,
        _ token: UInt64,
        asked: EventQueue.Time
    ) {
        let link = self.gateways[message.gateway].links[message.server]
        guard self.hasRingChange, link.connection == message.connection, link.state != .down else { return }
        self.gateways[message.gateway].links[message.server].markerToken = token
        self.saw(message.gateway, isThere ? state : nil, on: message.server, asked: asked)
    }

    func saw(_ gateway: Int, _ state: PoolState<SimulatedRing>?, on server: Int, asked: EventQueue.Time) {
        guard self.gateways[gateway].view.saw(state, on: server, asked: Int64(asked)) else { return }
        self.note(-1, "g\(gateway) works by \(self.gateways[gateway].view.state.name)")
        for server in self.servers.indices { self.beginWalk(gateway, server) }
    }

    // MARK: Operations

    func validated(of operation: RunningOperation) -> Positions {
        let all = Positions.first(operation.servers.count)
        guard self.hasRingChange, self.mistake != .ringNoLease else { return all }
        return all.filtered { position in
            self.gateways[operation.gateway].view.isFresh(operation.servers[position], at: Int64(operation.began))
        }
    }

    func mayCount(_ position: Int, for operation: RunningOperation) -> Bool {
        if operation.validated.contains(position) { return true }
        // By what it was told since; a server that is ahead does not count.
        let view = self.gateways[operation.gateway].view
        return view.state.epoch == operation.epoch
            && view.isFresh(operation.servers[position], at: Int64(operation.began))
    }

    // MARK: The change

    func lookAfterPool(_ gateway: Int, _ life: Int) {
        guard self.gateways[gateway].life == life, self.gateways[gateway].isUp else { return }
        self.schedule(.lookAfterPool(gateway: gateway, gatewayLife: life), in: self.chance.within(5_000...20_000))
        guard self.gateways[gateway].move == nil, self.mistake != .ringDirect else { return }
        let state = self.gateways[gateway].view.state
        let step = self.gateways[gateway].change.look(
            self.sights(gateway),
            state,
            wish: self.wish(gateway),
            at: Int64(self.now)
        )
        switch step {
        case .rest:
            break
        case .write(let next, let servers):
            for server in servers {
                let link = self.gateways[gateway].links[server]
                guard link.state == .up, link.markerToken > 0 else { continue }
                self.transmit(
                    self.message(
                        .replaceMarker(next, token: link.markerToken),
                        for: .markerReplacement(next, self.now),
                        gateway,
                        server
                    )
                )
            }
        case .move(let move):
            self.note(-1, "g\(gateway) moves the sessions")
            let run = MoveRun(move, state: state, gateway: gateway, gatewayLife: life)
            self.gateways[gateway].move = run
            self.execute(run)
        }
    }

    private func sights(_ gateway: Int) -> [Int: RingChange<SimulatedRing>.Sight] {
        var sights: [Int: RingChange<SimulatedRing>.Sight] = [:]
        for (server, link) in self.gateways[gateway].links.enumerated() {
            let identity = ConnectionIdentity(number: link.connection)
            let condition: ServerCondition =
                link.state != .up ? .down : link.isComplete ? .complete(identity) : .incomplete(identity)
            sights[server] = .init(condition: condition, state: self.gateways[gateway].view.marker(of: server))
        }
        return sights
    }

    /// What all are configured with; mostly, as a gateway may be forgotten for a while.
    private func wish(_ gateway: Int) -> SimulatedRing? {
        let own = self.gateways[gateway].configured
        let isAgreed = self.gateways.allSatisfy { $0.configured == own }
        return isAgreed || !self.isPeace && self.chance.isLucky(percent: 5) ? own : nil
    }
}

extension Positions {
    fileprivate func filtered(_ isIncluded: (Int) -> Bool) -> Positions {
        var result: Positions = []
        for position in self where isIncluded(position) { result.insert(position) }
        return result
    }
}

extension PoolState where Ring == SimulatedRing {
    var name: String {
        switch self.stage {
        case .stable(let ring): "\(self.epoch) stable \(ring.members), drained \(ring.drained.sorted())"
        case .joining(let from, let to): "\(self.epoch) joining \(from.members) to \(to.members)"
        case .joined(let from, let to): "\(self.epoch) joined \(from.members) to \(to.members)"
        }
    }
}
