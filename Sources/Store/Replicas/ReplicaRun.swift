import DequeModule
import Memcached
import NIOCore
import Sessions

/// One operation under way: sends what its state machine wants sent and tells it what came back, and where its time and
/// chance come from. On the pool's loop.
final class ReplicaRun: ReplicaSurroundings {
    private var operation: ReplicaOperation
    private let pool: ReplicaPool
    private let key: SessionKey
    private let memcachedKey: MemcachedKey
    /// By position.
    private let servers: [ReplicaServer]
    private var completion: ((ReplicaOutcome) -> Void)?
    private let started = NIODeadline.now()
    /// Of the pool, when it began.
    private let epoch: UInt64
    /// Positions whose server was asked for the pool's state not long before.
    private var validated: Positions = []
    private var deadline = NIODeadline.distantFuture
    private var timeout = TimeAmount.zero
    /// Whether the deadline was put off.
    private var isInGrace = false
    /// What came to be done while earlier steps were being executed: an answer may come at once.
    private var laterSteps = Deque<ReplicaStep>()
    private var isExecuting = false
    /// The copies of a healthy session are the same bytes: one is decoded, the others are compared with it.
    private var lastDecoded: (value: ByteBuffer, copy: ReplicaCopy)?
    /// A ballot's attempt is never used twice: it names the bytes. A stub has none, and no record.
    private var lastEncoded: (promised: Ballot, accepted: Ballot, value: MemcachedValue)?

    init(
        _ goal: ReplicaOperation.Goal,
        on set: ReplicaLayout,
        pool: ReplicaPool,
        key: SessionKey,
        memcachedKey: MemcachedKey,
        servers: [ReplicaServer],
        completion: @escaping (ReplicaOutcome) -> Void
    ) {
        self.operation = ReplicaOperation(goal, on: set)
        self.pool = pool
        self.key = key
        self.memcachedKey = memcachedKey
        self.servers = servers
        self.completion = completion
        self.epoch = pool.epoch
        let started = self.started.nanoseconds
        for (position, server) in servers.enumerated() where server.freshUntil > started {
            self.validated.insert(position)
        }
    }

    func start(timeout: Duration) {
        self.timeout = .nanoseconds(timeout.nanoseconds)
        self.deadline = self.started + self.timeout
        self.advance { $0.start(&$1) }
        if self.completion != nil { self.pool.deadlines.watch(self) }
    }

    /// - Parameter late: how much later this is called than the event loop was asked to.
    /// - Returns: whether the deadline is still to come.
    func timePassed(now: NIODeadline, late: TimeAmount) -> Bool {
        guard self.completion != nil else { return false }
        guard now >= self.deadline else { return true }
        if !self.isInGrace {
            // Where the loop itself was late, so are the answers, which it has not read or not even asked for.
            self.isInGrace = true
            self.deadline = now + min(max(late, .milliseconds(1)), self.timeout)
            return true
        }
        self.execute(self.operation.deadlinePassed())
        return false
    }

    private func advance(_ event: (inout ReplicaOperation, inout ReplicaRun) -> [ReplicaStep]) {
        guard self.completion != nil else { return }
        var surroundings = self
        self.execute(event(&self.operation, &surroundings))
    }

    // MARK: The operation's surroundings

    var heldDown: Positions {
        var result: Positions = []
        for position in self.servers.indices where !self.servers[position].isAvailable {
            result.insert(position)
        }
        return result
    }

    var mayAcknowledge: Bool {
        NIODeadline.now() - self.started < self.pool.longestOperation
    }

    var now: SessionRecord.Timestamp { StoreClock.now }

    func randomNumber() -> UInt64 { self.pool.nextRandom() }

    // MARK: Steps

    private func execute(_ steps: [ReplicaStep]) {
        guard !self.isExecuting else {
            self.laterSteps.append(contentsOf: steps)
            return
        }
        self.isExecuting = true
        defer { self.isExecuting = false }
        for step in steps { self.execute(step) }
        while let step = self.laterSteps.popFirst() { self.execute(step) }
    }

    private func execute(_ step: ReplicaStep) {
        switch step {
        case .send(let command, let position, let call):
            self.send(command, to: position, call: call)
        case .backOff(let pause):
            self.pool.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .nanoseconds(pause.nanoseconds)) {
                self.advance { $0.backOffElapsed(&$1) }
            }
        case .finish(let outcome):
            let completion = self.completion
            self.completion = nil
            // Servers that have not answered yet keep this run, which need not keep what was read.
            self.lastDecoded = nil
            completion?(outcome)
        }
    }

    private func send(_ command: ReplicaCommand, to position: Int, call: ReplicaCall) {
        let server = self.servers[position]
        let (request, only) = self.request(command)
        // Answered before the command is.
        if !self.validated.contains(position) { server.look() }
        server.client.send(request, only: only) { result, connection in
            self.answered(result, on: connection, by: position, to: call)
        }
    }

    private func answered(
        _ result: Result<MemcachedReply, MemcachedError>,
        on connection: ConnectionNumber?,
        by position: Int,
        to call: ReplicaCall
    ) {
        let server = self.servers[position]
        let answer = self.mayCount(position, server) ? self.answer(result, on: connection, of: server) : .failed
        self.advance { $0.answered(answer, by: position, to: call, &$1) }
    }

    /// A server that this gateway has not heard of for a while may have gone on with others to another ring.
    private func mayCount(_ position: Int, _ server: ReplicaServer) -> Bool {
        self.validated.contains(position)
            || (self.pool.epoch == self.epoch && server.freshUntil > self.started.nanoseconds)
    }

    private func request(_ command: ReplicaCommand) -> (MemcachedCommand, only: ConnectionNumber?) {
        switch command {
        case .read(let touch):
            return (.get(self.memcachedKey, touch: touch ? self.pool.touch : nil), nil)
        case .write(let copy, let condition, let lifetime):
            let value = self.encoded(copy)
            let expiry = self.pool.expiry(lifetime, of: copy.record)
            switch condition {
            case .add(let connection):
                return (.add(self.memcachedKey, value, expiry), connection.map { ConnectionNumber($0) })
            case .compareAndSet(let token):
                let connection = ConnectionNumber(token.connection)
                return (.compareAndSet(self.memcachedKey, value, token: token.value, expiry), connection)
            }
        }
    }

    /// The bytes of a copy; most writes send one copy to several servers.
    private func encoded(_ copy: ReplicaCopy) -> MemcachedValue {
        if let lastEncoded, lastEncoded.promised == copy.promised, lastEncoded.accepted == copy.accepted {
            return lastEncoded.value
        }
        let encoded = self.pool.codec.encode(copy, for: self.key)
        let value = MemcachedValue(head: encoded.head, body: encoded.payload)
        self.lastEncoded = (copy.promised, copy.accepted, value)
        return value
    }

    private func answer(
        _ result: Result<MemcachedReply, MemcachedError>,
        on connection: ConnectionNumber?,
        of server: ReplicaServer
    ) -> ReplicaAnswer {
        if case .failure(let error) = result, error.code == .valueTooLarge { return .declined }
        guard case .success(let reply) = result, let connection else { return .failed }
        let identity = ConnectionIdentity(number: connection.rawValue)
        switch reply {
        case .hit(let value, let token, let secondsToLive):
            let replicaToken = ReplicaToken(value: token, connection: identity)
            if let lastDecoded, lastDecoded.value == value {
                return .copy(lastDecoded.copy, replicaToken, secondsToLive: secondsToLive)
            }
            do {
                let copy = try self.pool.codec.decode(value, for: self.key)
                self.lastDecoded = (value, copy)
                return .copy(copy, replicaToken, secondsToLive: secondsToLive)
            } catch {
                self.pool.counters.corruptCopySeen()
                return .corrupt(replicaToken)
            }
        case .miss:
            return .absent(identity, isComplete: server.isComplete(on: connection))
        case .stored(let token):
            return .stored(ReplicaToken(value: token, connection: identity))
        case .notStored, .exists, .notFound:
            return .refused
        case .serverError:
            return .declined
        case .fetched, .deleted, .noop, .version, .settings, .statistics, .clientError:
            return .failed
        }
    }
}

extension ConnectionNumber {
    fileprivate init(_ identity: ConnectionIdentity) {
        self.init(rawValue: identity.number)
    }
}

extension NIODeadline {
    var nanoseconds: Int64 { Int64(clamping: self.uptimeNanoseconds) }
}
