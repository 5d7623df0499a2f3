import HistoryChecker
import NIOCore
import Sessions

/// Messages, connections, and what a server answers.
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

    private func isLost(_ message: Message) -> Bool {
        // A loss costs the connection: another one is there soon, or nothing else would happen.
        if case .greeting = message.waiter { return false }
        return !self.isPeace && self.chance.isLucky(percent: self.weather.lossPercent)
    }

    private func delay() -> EventQueue.Time {
        if !self.isPeace, self.chance.isLucky(percent: self.weather.slowPercent) {
            return self.chance.within(1_000...(4 * self.weather.operationTimeout))
        }
        return self.chance.within(50...400)
    }

    // MARK: At the server

    func arrive(_ message: Message) {
        let server = message.server
        guard self.servers[server].isUp, self.servers[server].life == message.serverLife else {
            self.rejected(message)
            return
        }
        guard self.servers[server].freeze == nil else {
            self.servers[server].hold(message)
            return
        }
        self.apply(message)
    }

    /// To a former life: that connection is no more.
    private func rejected(_ message: Message) {
        guard !message.isOver, self.chance.isLucky(percent: 50) else { return }
        self.schedule(
            .reset(gateway: message.gateway, server: message.server, connection: message.connection),
            in: self.delay()
        )
    }

    func apply(_ message: Message) {
        let answer: Message.Answer
        switch message.request {
        case .replica(let command):
            answer = .replica(self.apply(command, message))
        case .marker:
            let server = self.servers[message.server]
            answer = .marker(isThere: server.isComplete, state: server.markerState, token: server.markerToken)
        case .addMarker(let state):
            answer = .added(!self.servers[message.server].isComplete)
            if !self.servers[message.server].isComplete { self.mark(message.server, state) }
        case .replaceMarker(let state, let token):
            let server = self.servers[message.server]
            let isStored = server.isComplete && server.markerToken == token
            if isStored { self.mark(message.server, state) }
            answer = .added(isStored)
        case .addLease:
            let time = self.now + self.servers[message.server].clockLead
            let isFree = self.servers[message.server].leaseExpires <= time
            if isFree { self.servers[message.server].leaseExpires = time + self.weather.leaseDuration }
            answer = .added(isFree)
        case .listKeys:
            answer = .keys(
                self.sessions.indices.filter { self.servers[message.server].item($0, at: self.now) != nil }
            )
        }
        let isSecond = message.first != nil
        if isSecond { message.second = answer } else { message.first = answer }
        guard !message.isOver else { return }
        if self.isCut(message, towardsServer: false) || self.isLost(message) {
            self.figures.faults += 1
            return
        }
        self.schedule(.answer(message, isSecond: isSecond), in: self.delay())
    }

    private func apply(_ command: ReplicaCommand, _ message: Message) -> ReplicaAnswer {
        let server = message.server
        let session = message.session
        let connection = ConnectionIdentity(number: message.connection)
        let item = self.servers[server].item(session, at: self.now)
        switch command {
        case .read(let touch):
            guard let item else {
                let isComplete = self.gateways[message.gateway].links[server].isComplete
                return .absent(connection, isComplete: isComplete || self.mistake == .amnesiaVote)
            }
            if self.profile.hasLongTimes, item.expiresUnslid <= self.now + self.servers[server].clockLead {
                self.exempt(session)
            }
            if touch { self.touch(message, seconds: self.weather.idleSeconds) }
            let token = ReplicaToken(value: item.token, connection: connection)
            guard let copy = self.decoded(item.value, session) else { return .corrupt(token) }
            let left = self.servers[server].secondsToLive(item, at: self.now)
            return .copy(copy, token, secondsToLive: left)
        case .write(let copy, let condition, let lifetime):
            guard self.mayWrite(condition, over: item, promiseOnly: copy.isPromisedElsewhere) else { return .refused }
            if self.mistake == .noPrep, copy.isPromisedElsewhere, let item {
                return .stored(ReplicaToken(value: item.token, connection: connection))
            }
            let copy = self.mistake == nil ? copy : self.falsified(copy)
            self.note(session, "s\(server) keeps \(copy.name) \(lifetime) \(self.weather.idleSeconds)")
            if case .add = condition, copy.accepted.depth > 0, !self.servers[server].isComplete {
                // What it had forgotten it is taken for not to have had.
                self.exempt(session)
            }
            let seconds = self.seconds(lifetime, of: copy.record, by: message.gateway)
            if case .idle = lifetime { self.sessions[session].slid = self.now }
            let token = self.servers[server].put(
                session,
                self.encoded(copy, session),
                seconds: seconds,
                at: self.now
            )
            if self.mistake == .deleteTomb, copy.record?.isTombstone == true, !copy.isPromisedElsewhere {
                self.servers[server].forget(session)
            }
            return .stored(ReplicaToken(value: token, connection: connection))
        }
    }

    private func touch(_ message: Message, seconds: Int) {
        self.servers[message.server].touch(message.session, seconds: seconds, at: self.now)
        self.sessions[message.session].slid = self.now
        if case .operation(let operation, _, let position) = message.waiter { operation.slid.insert(position) }
    }

    private func mayWrite(
        _ condition: ReplicaCommand.Condition,
        over item: SimulatedServer.Item?,
        promiseOnly: Bool
    ) -> Bool {
        switch condition {
        case .add: item == nil
        case .compareAndSet(let token):
            if let item { item.token == token.value || self.mistake == .plainSet } else { false }
        }
    }

    private func seconds(_ lifetime: CopyLifetime, of record: SessionRecord?, by gateway: Int) -> Int {
        if self.mistake == .shortTomb, lifetime == .tombstone { return self.weather.idleSeconds }
        return lifetime.seconds(
            of: record,
            now: SessionRecord.Timestamp(self.clock(gateway) / 1_000),
            maximumItemAge: 23 * 3_600
        )
    }

    func decoded(_ value: SimulatedServer.Value, _ session: Int) -> ReplicaCopy? {
        switch value {
        case .copy(let copy): return copy
        case .bytes(let bytes):
            guard let codec, let key = self.sessions[session].key else { return nil }
            return try? codec.decode(bytes, for: key)
        }
    }

    private func encoded(_ copy: ReplicaCopy, _ session: Int) -> SimulatedServer.Value {
        guard let codec, let key = self.sessions[session].key else { return .copy(copy) }
        let encoded = codec.encode(copy, for: key)
        var bytes = encoded.head
        bytes.writeImmutableBuffer(encoded.payload)
        return .bytes(bytes)
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
