import HistoryChecker
import NIOCore

@testable import Sessions

/// The servers of one key, the operations under way, and every message between them: a value, so that a search may
/// copy it and go on in two ways. Nothing happens by itself: the owner picks one of `ReplicaWorld.Event` after another.
struct ReplicaWorld: Sendable {
    /// What becomes of a command.
    enum Delivery: Hashable, Sendable {
        case answered
        /// Never arrives.
        case lost
        /// Is done, and nobody hears of it.
        case answerLost
        /// Is given up now and done later.
        case late
        /// The server has no memory for it, and has thrown away what it had.
        case declined

        /// What a network does. A copy that a server throws away is the loss of a server, for that session.
        static let faults: [Delivery] = [.answered, .lost, .answerLost, .late]
    }

    struct MessageKey: Hashable, Sendable {
        var operation: Int
        var call: ReplicaCall
        var server: Int
    }

    enum Event: Hashable, Sendable {
        case message(MessageKey, Delivery)
        /// A command arrives that was given up long ago.
        case stray(MessageKey)
        case backOffElapsed(Int)
        /// The deadline of an operation.
        case deadline(Int)
        /// The process of an operation is gone; what it sent may still arrive.
        case abandon(Int)
        case crash(Int)
        case corrupt(Int)
        /// The walk of a restarted server begins.
        case walk(Int)
    }

    struct Message: Sendable {
        var key: MessageKey
        var command: ReplicaCommand
        var connection: ConnectionIdentity
        /// Of the server when it was sent; to a later one it does not get through.
        var life: Int
    }

    struct Running: Sendable {
        enum Role: Sendable {
            case read(HistoryChecker.Beginning)
            case write(HistoryChecker.WriteNumber)
            case destruction
            case repair
            case walk(server: Int, life: Int)
        }

        var operation: ReplicaOperation
        var surroundings: ModelSurroundings
        var gateway: Int
        var role: Role
        var isBackingOff = false
        var outcome: ReplicaOutcome?
        var commandsSent = 0
        var restores = 0

        mutating func start() -> [ReplicaStep] {
            self.operation.start(&self.surroundings)
        }

        mutating func answered(_ answer: ReplicaAnswer, to key: MessageKey) -> [ReplicaStep] {
            self.operation.answered(answer, by: key.server, to: key.call, &self.surroundings)
        }

        mutating func backOffElapsed() -> [ReplicaStep] {
            self.isBackingOff = false
            return self.operation.backOffElapsed(&self.surroundings)
        }
    }

    struct ModelSurroundings: ReplicaSurroundings, Sendable {
        var heldDown: Positions
        var mayAcknowledge: Bool
        var now: SessionRecord.Timestamp
        var chance: SplitMix

        mutating func randomNumber() -> UInt64 { self.chance.next() }
    }

    let set: ReplicaLayout
    var mistakes: Set<Mistake>
    private(set) var servers: [ModelServer]
    private(set) var running: [Running] = []
    /// The places of those that are not over.
    private(set) var active: [Int] = []
    /// Commands whose answer is awaited.
    private(set) var messages: [Message] = []
    /// Commands that were given up and may still arrive.
    private(set) var strays: [Message] = []
    private(set) var checker = HistoryChecker()
    private let session: HistoryChecker.SessionNumber
    private var numbers: [WriteIdentity: HistoryChecker.WriteNumber] = [:]
    private let seed: UInt64
    private var connections: [[ConnectionIdentity]]
    private var lastConnection: UInt64 = 0
    private var lastVersion: UInt64 = 0

    init(_ set: ReplicaLayout, gateways: Int = 4, seed: UInt64 = 1, mistakes: Set<Mistake> = []) {
        self.set = set
        self.seed = seed
        self.mistakes = mistakes
        self.servers = Array(repeating: ModelServer(), count: set.count)
        self.session = self.checker.newSession()
        self.connections = []
        for _ in 0..<gateways {
            self.connections.append((0..<set.count).map { _ in self.newConnection() })
        }
    }

    // MARK: Arranging

    mutating func withServer<Result>(_ position: Int, _ body: (inout ModelServer) -> Result) -> Result {
        body(&self.servers[position])
    }

    /// By the gateways' clocks; records are from the millisecond before it.
    static let now: SessionRecord.Timestamp = 2

    /// A session that was created long ago, acknowledged, and is on its first r servers.
    mutating func seedSession(at round: UInt32 = 1) -> SessionRecord {
        var record = self.proposal()
        record.accepted = Ballot(round: round, ballotClass: .fast, attempt: 1)
        record.holders = self.set.all.prefix(self.set.redundancy)
        record.placement = self.set.placement
        for position in record.holders {
            self.servers[position].put(ReplicaCopy(accepted: record))
        }
        self.checker.writeEnded(self.number(of: record), .acknowledged)
        return record
    }

    /// A new write: its payload tells its identity.
    mutating func proposal(from base: SessionRecord? = nil) -> SessionRecord {
        self.lastVersion += 1
        let identity = WriteIdentity(version: self.lastVersion, writer: 7)
        return SessionRecord(
            identity: identity,
            ancestors: base?.lineage ?? [],
            created: 1,
            written: 1,
            idleSeconds: UInt32(ModelServer.idleSeconds),
            absoluteDeadline: .max,
            payload: Self.payload(of: identity)
        )
    }

    static func payload(of identity: WriteIdentity) -> ByteBuffer {
        ByteBuffer(integer: identity.version)
    }

    mutating func fail(_ story: String) {
        self.checker.failedInPeace(self.session, story)
    }

    // MARK: Operations

    /// - Returns: the place in `running`.
    mutating func start(
        _ goal: ReplicaOperation.Goal,
        by gateway: Int = 0,
        heldDown: Positions = [],
        mayAcknowledge: Bool = true,
        walking server: Int? = nil
    ) -> Int {
        let index = self.running.count
        let surroundings = ModelSurroundings(
            heldDown: heldDown,
            mayAcknowledge: mayAcknowledge,
            now: Self.now,
            chance: SplitMix(seed: self.seed &* 1_000_003 &+ UInt64(index))
        )
        let role: Running.Role
        switch goal {
        case .load, .look:
            role = .read(self.checker.readBegan(self.session))
        case .save(_, let proposal), .create(let proposal), .saveDegraded(_, let proposal),
            .createDegraded(let proposal), .restore(let proposal):
            role = .write(self.number(of: proposal))
        case .destroy:
            role = .destruction
            self.checker.destructionBegan(self.session)
        case .keep:
            role = server.map { .walk(server: $0, life: self.servers[$0].life) } ?? .repair
        }
        self.running.append(
            Running(
                operation: ReplicaOperation(goal, on: self.set),
                surroundings: surroundings,
                gateway: gateway,
                role: role
            )
        )
        self.active.append(index)
        let steps = self.running[index].start()
        self.take(steps, index)
        return index
    }

    private mutating func number(of record: SessionRecord) -> HistoryChecker.WriteNumber {
        if let known = self.numbers[record.identity] { return known }
        let number = self.checker.writeBegan(self.session, base: record.base.flatMap { self.numbers[$0] })
        self.numbers[record.identity] = number
        return number
    }

    func outcome(of index: Int) -> ReplicaOutcome? { self.running[index].outcome }

    var isQuiet: Bool { self.active.isEmpty }

    func isOver(_ index: Int) -> Bool { !self.active.contains(index) }

    // MARK: Events

    mutating func perform(_ event: Event) {
        switch event {
        case .message(let key, let delivery):
            guard let place = self.messages.firstIndex(where: { $0.key == key }) else { return }
            self.deliver(self.messages.remove(at: place), delivery)
        case .stray(let key):
            guard let place = self.strays.firstIndex(where: { $0.key == key }) else { return }
            _ = self.arrive(self.strays.remove(at: place))
        case .backOffElapsed(let index):
            guard self.running[index].isBackingOff, !self.isOver(index) else { return }
            let steps = self.running[index].backOffElapsed()
            self.take(steps, index)
        case .deadline(let index):
            self.take(self.running[index].operation.deadlinePassed(), index)
        case .abandon(let index):
            self.active.removeAll { $0 == index }
            self.giveUpMessages { $0.key.operation == index }
        case .crash(let position):
            self.crash(position)
        case .corrupt(let position):
            self.servers[position].corrupt()
        case .walk(let position):
            self.walk(position)
        }
    }

    /// Operations that began before now are too old to be acknowledged.
    mutating func ageOperations() {
        for index in self.active {
            self.running[index].surroundings.mayAcknowledge = false
        }
    }

    private mutating func deliver(_ message: Message, _ delivery: Delivery) {
        let key = message.key
        var answer = ReplicaAnswer.failed
        switch delivery {
        case .answered:
            answer = self.arrive(message)
        case .lost:
            break
        case .answerLost:
            _ = self.arrive(message)
        case .late:
            self.strays.append(message)
        case .declined:
            self.servers[key.server].forgetItem()
            answer = .declined
        }
        if delivery != .answered, delivery != .declined {
            // What timed out takes its connection with it.
            self.connections[self.running[key.operation].gateway][key.server] = self.newConnection()
        }
        let steps = self.running[key.operation].answered(answer, to: key)
        self.take(steps, key.operation)
    }

    private mutating func arrive(_ message: Message) -> ReplicaAnswer {
        let position = message.key.server
        guard self.servers[position].life == message.life else { return .failed }
        return self.servers[position].apply(message.command, over: message.connection, self.mistakes)
    }

    private mutating func take(_ steps: [ReplicaStep], _ index: Int) {
        for step in steps {
            switch step {
            case .send(let command, to: let position, call: let call):
                self.send(command, to: position, call: call, index)
            case .backOff:
                self.running[index].isBackingOff = true
            case .finish(let outcome):
                self.finish(index, outcome)
            }
        }
    }

    private mutating func send(_ command: ReplicaCommand, to position: Int, call: ReplicaCall, _ index: Int) {
        let connection = self.connections[self.running[index].gateway][position]
        var message = Message(
            key: MessageKey(operation: index, call: call, server: position),
            command: command,
            connection: connection,
            life: self.servers[position].life
        )
        if call == .unawaited {
            self.running[index].restores += 1
            _ = self.arrive(message)
            return
        }
        if let seen = command.connection, seen != connection {
            // Refused before it is sent: no life has this number.
            message.life = 0
        }
        self.running[index].commandsSent += 1
        self.messages.append(message)
    }

    private mutating func crash(_ position: Int) {
        self.servers[position].crash()
        for gateway in self.connections.indices {
            self.connections[gateway][position] = self.newConnection()
        }
    }

    /// Waits until nothing older can be acknowledged, lists the keys of the complete servers, keeps what it finds.
    private mutating func walk(_ position: Int) {
        if !self.mistakes.contains(.noSettle) { self.ageOperations() }
        let others = self.servers.indices.filter { $0 != position && self.servers[$0].isComplete }
        guard others.count >= self.set.quorum else { return }
        if others.contains(where: { self.servers[$0].item != nil }) {
            _ = self.start(.keep, by: self.connections.count - 1, walking: position)
        } else {
            self.servers[position].isComplete = true
        }
    }

    private mutating func finish(_ index: Int, _ outcome: ReplicaOutcome) {
        guard !self.isOver(index) else { return }
        self.running[index].outcome = outcome
        self.active.removeAll { $0 == index }
        // Commands that nobody waits for any more may arrive all the same.
        self.giveUpMessages { $0.key.operation == index }
        switch (self.running[index].role, outcome) {
        case (.read(let beginning), .chosen(let loaded)):
            let record = loaded.record
            if let number = self.numbers[record.identity], record.payload == Self.payload(of: record.identity) {
                self.checker.readEnded(beginning, number)
            } else {
                self.checker.readWasCorrupt(beginning)
            }
        case (.read(let beginning), .none):
            self.checker.readEndedWithNothing(beginning)
        case (.write(let number), .chosen):
            self.checker.writeEnded(number, .acknowledged)
        case (.write(let number), .discarded):
            self.checker.writeEnded(number, .discarded)
        case (.destruction, .destroyed):
            self.checker.destructionWasAcknowledged(self.session)
        case (.walk(let position, let life), .chosen), (.walk(let position, let life), .none):
            if self.servers[position].life == life { self.servers[position].isComplete = true }
        default:
            break
        }
    }

    private mutating func giveUpMessages(where isGivenUp: (Message) -> Bool) {
        guard self.messages.contains(where: isGivenUp) else { return }
        self.strays += self.messages.filter(isGivenUp)
        self.messages.removeAll(where: isGivenUp)
    }

    private mutating func newConnection() -> ConnectionIdentity {
        self.lastConnection += 1
        return ConnectionIdentity(number: self.lastConnection)
    }

}

extension ReplicaCommand {
    /// The connection that it must not leave.
    var connection: ConnectionIdentity? {
        switch self {
        case .write(_, .compareAndSet(let token), _): token.connection
        case .write(_, .add(let connection), _): connection
        case .read: nil
        }
    }
}
