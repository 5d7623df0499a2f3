import HistoryChecker
import NIOCore
import Sessions

/// Executes operations, as `ReplicaRun` does over sockets.
extension SimulatedWorld {
    @discardableResult
    func start(
        _ goal: ReplicaOperation.Goal,
        session: Int,
        gateway: Int,
        for purpose: RunningOperation.Purpose,
        timeout: EventQueue.Time
    ) -> RunningOperation {
        let (set, servers) = self.placement(of: session, by: self.gateways[gateway].view.state)
        let operation = RunningOperation(
            goal,
            on: set,
            for: purpose,
            session: session,
            servers: servers,
            gateway: gateway,
            gatewayLife: self.gateways[gateway].life,
            began: self.now
        )
        operation.epoch = self.gateways[gateway].view.state.epoch
        operation.validated = self.validated(of: operation)
        self.figures.operations += 1
        self.sessions[session].running.append(operation)
        self.note(session, "g\(gateway) \(operation.name) begins")
        self.schedule(.deadline(operation), in: timeout + 1_000)
        self.advance(operation) { $0.start(&$1) }
        return operation
    }

    func advance(
        _ operation: RunningOperation,
        _ event: (inout ReplicaOperation, inout SimulatedSurroundings) -> [ReplicaStep]
    ) {
        guard !operation.isOver, self.gateways[operation.gateway].life == operation.gatewayLife else { return }
        var surroundings = self.surroundings(of: operation)
        self.execute(event(&operation.machine, &surroundings), operation)
    }

    private func surroundings(of operation: RunningOperation) -> SimulatedSurroundings {
        var heldDown: Positions = []
        for (position, server) in operation.servers.enumerated() {
            if self.gateways[operation.gateway].links[server].state != .up { heldDown.insert(position) }
        }
        if !heldDown.isEmpty { self.missed(heldDown, by: operation) }
        return SimulatedSurroundings(
            heldDown: heldDown,
            mayAcknowledge: self.now - operation.began < self.weather.longestOperation,
            now: SessionRecord.Timestamp(self.clock(operation.gateway) / 1_000),
            world: self
        )
    }

    func execute(_ steps: [ReplicaStep], _ operation: RunningOperation) {
        guard !operation.isOver, self.gateways[operation.gateway].life == operation.gatewayLife else { return }
        if self.mistake == nil {
            operation.steps += steps
        } else {
            operation.steps += self.falsified(steps, operation)
        }
        guard !operation.isExecuting else { return }
        operation.isExecuting = true
        var index = 0
        while index < operation.steps.count {
            let step = operation.steps[index]
            index += 1
            switch step {
            case .send(let command, let position, let call):
                self.send(command, to: position, call: call, operation)
            case .backOff(let pause):
                let (seconds, attoseconds) = pause.components
                self.schedule(
                    .backOff(operation),
                    in: Int(seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000)
                )
            case .finish(let outcome):
                self.finish(operation, outcome)
            }
        }
        operation.steps.removeAll(keepingCapacity: true)
        operation.isExecuting = false
    }

    private func send(_ command: ReplicaCommand, to position: Int, call: ReplicaCall, _ operation: RunningOperation) {
        if case .write(let copy, _, _) = command, let record = copy.record, copy.promised == record.accepted,
            record.accepted.ballotClass == .slow, operation.accepted == nil
        {
            operation.accepted = self.now
        }
        let server = operation.servers[position]
        let link = self.gateways[operation.gateway].links[server]
        let isHere = command.connection.map { $0.number == link.connection } ?? true
        guard link.state == .up, isHere || self.ignoresConnection(of: command) else {
            self.deliver(.failed, from: position, call: call, operation)
            return
        }
        if !operation.validated.contains(position) { self.checkMarker(operation.gateway, server) }
        let message = Message(
            .replica(command),
            for: .operation(operation, call, position: position),
            session: operation.session,
            gateway: operation.gateway,
            gatewayLife: operation.gatewayLife,
            server: server,
            connection: link.connection,
            serverLife: link.serverLife
        )
        self.transmit(message)
    }

    /// An answer, or what takes the place of one, reaches its operation.
    func deliver(_ answer: ReplicaAnswer, from position: Int, call: ReplicaCall, _ operation: RunningOperation) {
        guard !operation.isOver else { return }
        let answer = self.mayCount(position, for: operation) ? answer : .failed
        switch answer {
        case .failed, .refused, .declined: self.missed([position], by: operation)
        case .copy, .absent, .corrupt, .stored: break
        }
        guard self.mistake == nil else {
            self.deliverFalsified(answer, from: position, call: call, operation)
            return
        }
        self.advance(operation) { $0.answered(answer, by: position, to: call, &$1) }
    }

    func finish(_ operation: RunningOperation, _ outcome: ReplicaOutcome) {
        guard !operation.isOver else { return }
        operation.isOver = true
        let outcome = self.mistake == nil ? outcome : self.falsified(outcome, operation)
        self.note(operation.session, "g\(operation.gateway) \(operation.name) ends: \(outcome.name)")
        self.sessions[operation.session].running.removeAll { $0 === operation }
        self.settleLosses(of: operation, outcome)
        self.settleSlides(of: operation, outcome)
        switch operation.purpose {
        case .load(let request, let beginning, let mustHaveExpired):
            self.loaded(request, beginning, outcome, mustHaveExpired: mustHaveExpired, began: operation.began)
        case .write(let request, let number):
            self.written(request, number, operation, outcome)
        case .destroy(let request, let isNew):
            self.destroyed(request, isNew: isNew, operation, outcome)
        case .repair:
            break
        case .walk(let run, let attempt):
            self.choseAnew(operation.session, run, attempt: attempt, outcome)
        case .move(let run, let attempt):
            self.moved(operation.session, run, attempt: attempt, outcome)
        case .tier(let run):
            self.replicasAnswered(run, operation, outcome)
        case .place(let run):
            self.answered(run, operation, outcome)
        case .reap(let run, let index):
            self.looked(run, index, outcome)
        case .question(let written):
            self.answered(operation, written, outcome)
        case .rowless:
            self.foundRowless(operation, outcome)
        }
    }

    /// The identity of a new write: its version is greater than this one and any that the gateway has issued.
    func newIdentity(_ gateway: Int, after base: UInt64?) -> WriteIdentity {
        if self.profile.hasDatabase {
            let now = self.timestamp(gateway)
            return self.gateways[gateway].memory.newIdentity(after: base, at: now)
        }
        let version = max(
            UInt64(self.clock(gateway)),
            (base ?? 0) + 1,
            self.gateways[gateway].lastVersion + 1
        )
        self.gateways[gateway].lastVersion = version
        return WriteIdentity(version: version, writer: self.gateways[gateway].writer)
    }
}

extension RunningOperation {
    var name: String {
        let kind =
            switch self.goal {
            case .load, .look: "load"
            case .save: "save"
            case .create, .restore: "create"
            case .destroy: "destroy"
            case .keep: if case .repair = self.purpose { "repair" } else { "walk" }
            case .saveDegraded: "degraded save"
            case .createDegraded: "degraded create"
            }
        guard case .write(_, let number) = self.purpose else { return "\(kind) @\(self.began)" }
        return "\(kind) @\(self.began) \(number)"
    }
}

extension ReplicaOutcome {
    var name: String {
        switch self {
        case .chosen(let loaded): "chosen \(loaded.record.name)"
        case .none: "none"
        case .destroyed: "destroyed"
        case .discarded: "discarded"
        case .unknown: "unknown"
        case .unavailable(let best, _): "unavailable\(best.map { ", best \($0.record.name)" } ?? "")"
        case .beyondRepair: "beyond repair"
        case .degraded(let loaded): "degraded \(loaded.record.name)"
        }
    }
}
