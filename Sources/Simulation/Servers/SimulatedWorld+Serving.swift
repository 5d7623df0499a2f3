import NIOCore
import Sessions

/// What happens to a message at the server.
extension SimulatedWorld {
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
}
