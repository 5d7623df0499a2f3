import HistoryChecker
import Sessions

/// One operation under way at one gateway: the production state machine, and whom its outcome concerns.
final class RunningOperation {
    enum Purpose {
        case load(Request, HistoryChecker.Beginning, mustHaveExpired: Bool)
        case write(Request, HistoryChecker.WriteNumber)
        case destroy(Request, isNew: Bool)
        /// Behind a response.
        case repair
        case walk(WalkRun, attempt: Int)
        case move(MoveRun, attempt: Int)
        /// A part of what a session in memcached with a database behind it takes.
        case tier(TierRun)
        case place(PlaceRun)
        case reap(ReapRun, index: Int)
        /// What another gateway may have saved.
        case question(WriteIdentity)
        /// What memcached has of a session that has no row.
        case rowless
    }

    var machine: ReplicaOperation
    let goal: ReplicaOperation.Goal
    let purpose: Purpose
    let session: Int
    let gateway: Int
    let gatewayLife: Int
    let began: EventQueue.Time
    /// The servers of the session, by position.
    let servers: [Int]
    /// Of the pool, when it began.
    var epoch: UInt64 = 0
    /// Positions of the servers whose answers count, as they were asked for the pool's state not long ago.
    var validated: Positions = []
    var isOver = false
    var isExecuting = false
    /// What is still to be done: an answer may come while an earlier step is being executed.
    var steps: [ReplicaStep] = []
    /// Servers that it did not hear, or that refused a write, by position.
    var missed: Positions = []
    /// Positions of the copies whose expiry it slid.
    var slid: Positions = []
    /// When it first sent a record by a slow ballot.
    var accepted: EventQueue.Time?
    /// For the mistakes that look at what the machine has seen.
    var falsified = FalsifiedView()

    init(
        _ goal: ReplicaOperation.Goal,
        on set: ReplicaLayout,
        for purpose: Purpose,
        session: Int,
        servers: [Int],
        gateway: Int,
        gatewayLife: Int,
        began: EventQueue.Time
    ) {
        self.machine = ReplicaOperation(goal, on: set)
        self.goal = goal
        self.purpose = purpose
        self.session = session
        self.servers = servers
        self.gateway = gateway
        self.gatewayLife = gatewayLife
        self.began = began
    }
}

/// Time and chance for the state machine.
struct SimulatedSurroundings: ReplicaSurroundings {
    let heldDown: Positions
    let mayAcknowledge: Bool
    let now: SessionRecord.Timestamp
    let world: SimulatedWorld

    mutating func randomNumber() -> UInt64 { self.world.attemptChance.next() }
}
