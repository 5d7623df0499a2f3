import Sessions

/// One move of all sessions at one gateway: the production decisions, and what they are being told.
final class MoveRun {
    var move: RingMove<SimulatedRing>
    let state: PoolState<SimulatedRing>
    let gateway: Int
    let gatewayLife: Int
    /// Sessions that have had their turn.
    var remembered: Set<Int> = []
    var left: [Int] = []
    var running = 0
    var failures = 0

    init(_ move: RingMove<SimulatedRing>, state: PoolState<SimulatedRing>, gateway: Int, gatewayLife: Int) {
        self.move = move
        self.state = state
        self.gateway = gateway
        self.gatewayLife = gatewayLife
    }
}

/// Executes moves, as `PoolKeeper` does over sockets.
extension SimulatedWorld {
    private static let concurrentSessions = 4

    private func isCurrent(_ run: MoveRun) -> Bool {
        self.gateways[run.gateway].life == run.gatewayLife && self.gateways[run.gateway].move === run
    }

    func execute(_ run: MoveRun) {
        switch run.move.next {
        case .list(let source):
            if self.mistake == .ringNoWalk { return self.go(run, run.move.listed(isDone: true)) }
            guard self.servers[source].isUp, !self.isCut(run.gateway, source) else { return self.answered(run, nil) }
            self.lastConnection += 1
            self.transmit(
                Message(
                    .listKeys,
                    for: .move(run),
                    gateway: run.gateway,
                    gatewayLife: run.gatewayLife,
                    server: source,
                    connection: self.lastConnection,
                    serverLife: self.servers[source].life
                )
            )
        case .confirm(let server, let connection):
            self.send(.marker, to: server, on: connection, run)
        case .mark(let server, let connection):
            self.send(.addMarker(run.state), to: server, on: connection, run)
        case .finish(let isDone):
            self.gateways[run.gateway].move = nil
            self.gateways[run.gateway].change.moved(run.state, isDone: isDone)
        }
    }

    private func send(_ request: Message.Request, to server: Int, on connection: ConnectionIdentity, _ run: MoveRun) {
        let link = self.gateways[run.gateway].links[server]
        guard link.state == .up, link.connection == connection.number else { return self.answered(run, nil) }
        self.transmit(self.message(request, for: .move(run), run.gateway, server))
    }

    private func go(_ run: MoveRun, _ step: RingMove<SimulatedRing>.Step) {
        self.execute(run)
    }

    /// - Parameter answer: nil where there was none.
    func answered(_ run: MoveRun, _ answer: Message.Answer?) {
        guard self.isCurrent(run) else { return }
        switch (run.move.next, answer) {
        case (.list, .keys(let sessions)):
            run.left = sessions.filter {
                self.placement(of: $0, by: run.state).set.isJoint && run.remembered.insert($0).inserted
            }
            self.chooseNext(run)
        case (.list, _):
            self.go(run, run.move.listed(isDone: false))
        case (.mark(let server, let connection), .added):
            let link = self.gateways[run.gateway].links[server]
            if link.state == .up, link.connection == connection.number {
                self.gateways[run.gateway].links[server].isComplete = true
                self.checkMarker(run.gateway, server)
            }
            self.go(run, run.move.confirmed(isThere: true))
        case (.confirm, _), (.mark, _):
            self.go(run, run.move.confirmed(isThere: answer != nil))
        case (.finish, _):
            break
        }
    }

    func goOn(_ run: MoveRun) {
        guard self.isCurrent(run) else { return }
        self.chooseNext(run)
    }

    private func chooseNext(_ run: MoveRun) {
        guard case .list = run.move.next else { return }
        while run.running < Self.concurrentSessions, let session = run.left.popLast() {
            run.running += 1
            self.chooseAnew(session, run, attempt: 1)
        }
        guard run.running == 0, run.left.isEmpty else { return }
        let isDone = run.failures == 0 && self.gateways[run.gateway].view.state == run.state
        run.failures = 0
        self.go(run, run.move.listed(isDone: isDone))
    }

    private func chooseAnew(_ session: Int, _ run: MoveRun, attempt: Int) {
        self.start(
            .keep,
            session: session,
            gateway: run.gateway,
            for: .move(run, attempt: attempt),
            timeout: min(self.weather.longestOperation, 2_000_000)
        )
    }

    func moved(_ session: Int, _ run: MoveRun, attempt: Int, _ outcome: ReplicaOutcome) {
        guard self.isCurrent(run) else { return }
        switch outcome {
        case .chosen, .none, .destroyed, .beyondRepair:
            run.running -= 1
        case .discarded, .unknown, .unavailable, .degraded:
            if attempt < 3 { return self.chooseAnew(session, run, attempt: attempt + 1) }
            run.running -= 1
            run.failures += 1
        }
        // Not from inside the operation that has just ended.
        self.schedule(.move(run), in: 0)
    }
}
