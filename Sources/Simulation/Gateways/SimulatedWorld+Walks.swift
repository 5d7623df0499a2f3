import Sessions

/// One walk at one gateway: the production decisions, and what they are being told.
final class WalkRun {
    var attempt: WalkAttempt
    let gateway: Int
    let gatewayLife: Int
    let server: Int
    let connection: UInt64
    var step: WalkAttempt.Step
    /// Sessions that have had their turn.
    var remembered: Set<Int> = []
    var left: [Int] = []
    var running = 0
    var failures = 0
    /// Beyond repair.
    var lost = 0

    init(_ attempt: WalkAttempt, gateway: Int, gatewayLife: Int, server: Int, connection: UInt64) {
        self.attempt = attempt
        self.gateway = gateway
        self.gatewayLife = gatewayLife
        self.server = server
        self.connection = connection
        self.step = attempt.start()
    }
}

/// Executes walks, as `Walker` does over sockets.
extension SimulatedWorld {
    private static let concurrentSessions = 4

    func beginWalk(_ gateway: Int, _ server: Int) {
        let link = self.gateways[gateway].links[server]
        guard link.state == .up, !link.isComplete, link.walk == nil,
            self.gateways[gateway].view.state.walkedMembers.contains(server)
        else { return }
        self.figures.walks += 1
        let run = WalkRun(
            WalkAttempt(
                for: server,
                on: ConnectionIdentity(number: link.connection),
                redundancy: self.profile.redundancy
            ),
            gateway: gateway,
            gatewayLife: self.gateways[gateway].life,
            server: server,
            connection: link.connection
        )
        self.gateways[gateway].links[server].walk = run
        self.execute(run)
    }

    private func conditions(_ gateway: Int) -> [ServerCondition] {
        let members = self.gateways[gateway].view.state.walkedMembers
        return self.gateways[gateway].links.enumerated().map { server, link in
            guard members.contains(server) else { return .outside }
            guard link.state == .up else { return .down }
            let identity = ConnectionIdentity(number: link.connection)
            return link.isComplete ? .complete(identity) : .incomplete(identity)
        }
    }

    private func isCurrent(_ run: WalkRun) -> Bool {
        self.gateways[run.gateway].life == run.gatewayLife
            && self.gateways[run.gateway].links[run.server].walk === run
    }

    private func execute(_ run: WalkRun) {
        switch run.step {
        case .settle:
            let wait = self.weather.longestOperation + self.weather.operationTimeout
            self.schedule(.walk(run), in: self.mistake == .noSettle ? 0 : wait)
        case .pause:
            self.schedule(.walk(run), in: self.weather.pollInterval)
        case .takeLease:
            self.send(.addLease, to: run.server, run)
        case .list(let source):
            self.note(-1, "g\(run.gateway) walks for s\(run.server), and lists s\(source)")
            if self.mistake == .copySync {
                self.copyNewest(to: run.server, from: source)
                self.go(run, run.attempt.listed(isDone: true, lost: 0, self.conditions(run.gateway)))
                return
            }
            self.list(source, run)
        case .confirm(let source, let connection):
            let link = self.gateways[run.gateway].links[source]
            if self.mistake == .noConfirm {
                self.go(run, run.attempt.confirmed(isAlive: true, self.conditions(run.gateway)))
            } else if link.state == .up, link.connection == connection.number {
                self.send(.marker, to: source, run)
            } else {
                self.go(run, run.attempt.confirmed(isAlive: false, self.conditions(run.gateway)))
            }
        case .confirmForgetting(let server, let connection):
            let link = self.gateways[run.gateway].links[server]
            if link.state == .up, link.connection == connection.number {
                self.send(.marker, to: server, run)
            } else {
                self.answered(run, nil)
            }
        case .mark:
            self.note(-1, "g\(run.gateway) marks s\(run.server)\(run.attempt.acceptsLoss ? ", as it is" : "")")
            self.send(.addMarker(self.gateways[run.gateway].view.state), to: run.server, run)
        case .finish:
            self.gateways[run.gateway].links[run.server].walk = nil
            let connection = self.gateways[run.gateway].links[run.server].connection
            // `Walker` looks again after a pause, as long as the marker is missing.
            self.schedule(
                .poll(gateway: run.gateway, server: run.server, connection: connection),
                in: self.weather.pollInterval
            )
            self.schedule(.walk(run), in: self.weather.pollInterval)
        }
    }

    private func go(_ run: WalkRun, _ step: WalkAttempt.Step) {
        run.step = step
        self.execute(run)
    }

    /// A pause is over.
    func goOn(_ run: WalkRun) {
        guard self.gateways[run.gateway].life == run.gatewayLife else { return }
        if case .finish = run.step {
            self.beginWalk(run.gateway, run.server)
            return
        }
        guard self.isCurrent(run) else { return }
        if case .list = run.step {
            self.chooseNext(run)
            return
        }
        self.go(run, run.attempt.waited(self.conditions(run.gateway)))
    }

    /// On the connection of the walk, if that is still there, or to a source.
    private func send(_ request: Message.Request, to server: Int, _ run: WalkRun) {
        let link = self.gateways[run.gateway].links[server]
        guard link.state == .up, server != run.server || link.connection == run.connection else {
            self.answered(run, nil)
            return
        }
        self.transmit(self.message(request, for: .walk(run), run.gateway, server))
    }

    /// On a connection of its own, to whatever life the server has.
    private func list(_ source: Int, _ run: WalkRun) {
        guard self.servers[source].isUp, !self.isCut(run.gateway, source) else {
            self.answered(run, nil)
            return
        }
        self.lastConnection += 1
        self.transmit(
            Message(
                .listKeys,
                for: .walk(run),
                gateway: run.gateway,
                gatewayLife: run.gatewayLife,
                server: source,
                connection: self.lastConnection,
                serverLife: self.servers[source].life
            )
        )
    }

    /// - Parameter answer: nil where there was none.
    func answered(_ run: WalkRun, _ answer: Message.Answer?) {
        guard self.isCurrent(run) else { return }
        let conditions = self.conditions(run.gateway)
        switch (run.step, answer) {
        case (.takeLease, .added(let isTaken)):
            self.go(run, run.attempt.leaseAnswered(isTaken: isTaken, conditions))
        case (.takeLease, _):
            self.go(run, run.attempt.leaseAnswered(isTaken: false, conditions))
        case (.list, .keys(let sessions)):
            run.left = sessions.filter {
                self.placement(of: $0, by: self.gateways[run.gateway].view.state).servers.contains(run.server)
                    && run.remembered.insert($0).inserted
            }
            self.chooseNext(run)
        case (.list, _):
            self.go(run, run.attempt.listed(isDone: false, lost: 0, conditions))
        case (.confirm, _):
            self.go(run, run.attempt.confirmed(isAlive: answer != nil, conditions))
        case (.confirmForgetting, .marker(let isThere, _, _)):
            self.go(run, run.attempt.forgetting(isConfirmed: !isThere, conditions))
        case (.confirmForgetting, _):
            self.go(run, run.attempt.forgetting(isConfirmed: false, conditions))
        case (.mark, .added):
            let link = self.gateways[run.gateway].links[run.server]
            if link.state == .up, link.connection == run.connection {
                self.gateways[run.gateway].links[run.server].isComplete = true
            }
            self.go(run, run.attempt.marked(isThere: true))
        case (.mark, _):
            self.go(run, run.attempt.marked(isThere: false))
        default:
            break
        }
    }

    // MARK: Sessions

    private func chooseNext(_ run: WalkRun) {
        guard case .list = run.step else { return }
        while run.running < Self.concurrentSessions, let session = run.left.popLast() {
            run.running += 1
            self.chooseAnew(session, run, attempt: 1)
        }
        guard run.running == 0, run.left.isEmpty, case .list = run.step else { return }
        let lost = run.lost
        run.lost = 0
        self.go(run, run.attempt.listed(isDone: run.failures == 0, lost: lost, self.conditions(run.gateway)))
    }

    private func chooseAnew(_ session: Int, _ run: WalkRun, attempt: Int) {
        self.start(
            .keep,
            session: session,
            gateway: run.gateway,
            for: .walk(run, attempt: attempt),
            timeout: min(self.weather.longestOperation, 2_000_000)
        )
    }

    func choseAnew(_ session: Int, _ run: WalkRun, attempt: Int, _ outcome: ReplicaOutcome) {
        guard self.isCurrent(run) else { return }
        switch outcome {
        case .chosen, .none, .destroyed:
            run.running -= 1
        case .beyondRepair:
            run.running -= 1
            run.lost += 1
        case .discarded, .unknown, .unavailable, .degraded:
            if attempt < 3, self.gateways[run.gateway].links[run.server].state == .up {
                self.chooseAnew(session, run, attempt: attempt + 1)
                return
            }
            run.running -= 1
            run.failures += 1
        }
        // Not from inside the operation that has just ended.
        self.schedule(.walk(run), in: 0)
    }
}
