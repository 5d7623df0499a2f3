import HistoryChecker
import NIOCore
import Sessions

/// Messages and connections, at the gateways.
extension SimulatedWorld {
    /// Sends on the link as it is; the answer is due within the time-out.
    func transmit(_ message: Message) {
        self.figures.messages += 1
        self.gateways[message.gateway].links[message.server].pending.append(message)
        self.schedule(.timeout(message), in: self.weather.operationTimeout)
        if self.chance.isLucky(percent: self.weather.doublePercent), !self.isPeace {
            self.figures.faults += 1
            self.schedule(.arrival(message), in: self.delay() + self.chance.below(2 * self.weather.operationTimeout))
        }
        if self.isCut(message, towardsServer: true) || self.isLost(message) {
            self.figures.faults += 1
            // What a connection has taken is sent again and again, also after the gateway has given it up.
            guard self.chance.isLucky(percent: 50) else { return }
            self.schedule(.arrival(message), in: self.weather.operationTimeout * self.chance.within(1...40) / 4)
            return
        }
        self.schedule(.arrival(message), in: self.delay())
    }

    func isLost(_ message: Message) -> Bool {
        // A loss costs the connection: another one is there soon, or nothing else would happen.
        if case .greeting = message.waiter { return false }
        return !self.isPeace && self.chance.isLucky(percent: self.weather.lossPercent)
    }

    func delay() -> EventQueue.Time {
        if !self.isPeace, self.chance.isLucky(percent: self.weather.slowPercent) {
            return self.chance.within(1_000...(4 * self.weather.operationTimeout))
        }
        return self.chance.within(50...400)
    }

    // MARK: Back at the gateway

    func answered(_ message: Message, isSecond: Bool) {
        guard !message.isOver, self.gateways[message.gateway].life == message.gatewayLife,
            let answer = isSecond ? message.second : message.first
        else { return }
        message.isOver = true
        self.gateways[message.gateway].links[message.server].pending.removeAll { $0 === message }
        switch (message.waiter, answer) {
        case (.operation(let operation, let call, let position), .replica(let answer)):
            self.deliver(answer, from: position, call: call, operation)
        case (.greeting(let attempt), .marker(let isThere, let state, let token)):
            self.saw(message, isThere: isThere, state, token, asked: self.now - self.weather.operationTimeout)
            self.greeted(message, attempt: attempt, isComplete: isThere)
        case (.poll, .marker(let isThere, _, _)):
            self.polled(message, isComplete: isThere)
        case (.check(let asked), .marker(let isThere, let state, let token)):
            self.saw(message, isThere: isThere, state, token, asked: asked)
        case (.markerReplacement(let state, let asked), .added(let isStored)):
            // The new token is asked for with the next check.
            if isStored { self.saw(message, isThere: true, state, 0, asked: asked) }
        case (.move(let run), _):
            self.answered(run, answer)
        case (.walk(let run), _):
            self.answered(run, answer)
        default:
            break
        }
    }

    func timedOut(_ message: Message) {
        guard self.gateways[message.gateway].life == message.gatewayLife else { return }
        // What timed out takes its connection with it.
        if !self.close(message.gateway, message.server, connection: message.connection) {
            message.isOver = true
            self.failed(message)
        }
    }

    /// - Returns: whether it was this connection that there was.
    @discardableResult
    func close(_ gateway: Int, _ server: Int, connection: UInt64) -> Bool {
        let link = self.gateways[gateway].links[server]
        guard link.state != .down, link.connection == connection else { return false }
        self.gateways[gateway].links[server].state = .down
        self.gateways[gateway].links[server].isComplete = false
        self.gateways[gateway].links[server].pending = []
        self.gateways[gateway].view.lost(server)
        self.reconnect(gateway, server)
        for message in link.pending where !message.isOver {
            message.isOver = true
            self.failed(message)
        }
        return true
    }

    private func failed(_ message: Message) {
        switch message.waiter {
        case .operation(let operation, let call, let position):
            self.deliver(.failed, from: position, call: call, operation)
        case .walk(let run):
            self.answered(run, nil)
        case .move(let run):
            self.answered(run, nil)
        case .greeting, .poll, .check, .markerReplacement, .nobody:
            break
        }
    }

    // MARK: Connections

    /// At once the first time, then after pauses that grow, as `ServerHealth` does.
    func reconnect(_ gateway: Int, _ server: Int) {
        self.gateways[gateway].links[server].attempt += 1
        let failures = self.gateways[gateway].links[server].failures
        self.gateways[gateway].links[server].failures += 1
        let longest = min(2_500 << min(failures, 10), self.weather.longestReconnect)
        self.schedule(
            .connect(
                gateway: gateway,
                server: server,
                attempt: self.gateways[gateway].links[server].attempt
            ),
            in: failures == 0 ? self.chance.below(1_000) : self.chance.within((longest / 2)...longest)
        )
    }

    func connect(_ gateway: Int, _ server: Int, attempt: Int) {
        let link = self.gateways[gateway].links[server]
        guard link.state == .down, link.attempt == attempt, self.gateways[gateway].isUp else { return }
        guard self.servers[server].isUp, !self.isCut(gateway, server) else {
            self.reconnect(gateway, server)
            return
        }
        self.lastConnection += 1
        self.gateways[gateway].links[server].state = .connecting
        self.gateways[gateway].links[server].connection = self.lastConnection
        self.gateways[gateway].links[server].serverLife = self.servers[server].life
        self.transmit(self.message(.marker, for: .greeting(attempt: attempt), gateway, server))
    }

    /// A message of no session on the connection that there is.
    func message(
        _ request: Message.Request,
        for waiter: Message.Waiter,
        _ gateway: Int,
        _ server: Int
    ) -> Message {
        let link = self.gateways[gateway].links[server]
        return Message(
            request,
            for: waiter,
            gateway: gateway,
            gatewayLife: self.gateways[gateway].life,
            server: server,
            connection: link.connection,
            serverLife: link.serverLife
        )
    }

    private func greeted(_ message: Message, attempt: Int, isComplete: Bool) {
        let (gateway, server) = (message.gateway, message.server)
        let link = self.gateways[gateway].links[server]
        guard link.state == .connecting, link.attempt == attempt else { return }
        self.gateways[gateway].links[server].state = .up
        self.gateways[gateway].links[server].failures = 0
        self.gateways[gateway].links[server].isComplete = isComplete
        guard !isComplete else { return }
        self.schedule(
            .poll(gateway: gateway, server: server, connection: link.connection),
            in: self.weather.pollInterval
        )
        self.beginWalk(gateway, server)
    }

    func poll(_ gateway: Int, _ server: Int, connection: UInt64) {
        let link = self.gateways[gateway].links[server]
        guard link.state == .up, link.connection == connection, !link.isComplete else { return }
        self.transmit(self.message(.marker, for: .poll, gateway, server))
    }

    private func polled(_ message: Message, isComplete: Bool) {
        let (gateway, server) = (message.gateway, message.server)
        let link = self.gateways[gateway].links[server]
        guard link.state == .up, link.connection == message.connection else { return }
        if isComplete {
            self.gateways[gateway].links[server].isComplete = true
        } else if !link.isComplete {
            self.schedule(
                .poll(gateway: gateway, server: server, connection: link.connection),
                in: self.weather.pollInterval
            )
        }
    }
}

extension SessionRecord {
    var name: String {
        let holders = self.holders.map { "\($0)" }.joined(separator: ",")
        let what = self.isTombstone ? "tombstone" : "write \(self.writeNumber.map { "\($0.index)" } ?? "?")"
        return "\(what) at \(self.accepted.name) on \(holders)"
    }
}

extension ReplicaCopy {
    var name: String {
        let record = self.record?.name ?? "stub"
        return self.isPromisedElsewhere ? "\(record), promised \(self.promised.name)" : record
    }
}

extension Ballot {
    var name: String {
        "\(self.round)\(self.ballotClass == .fast ? "f" : "s")\(self.depth)-\(String(self.attempt >> 48, radix: 16))"
    }
}
