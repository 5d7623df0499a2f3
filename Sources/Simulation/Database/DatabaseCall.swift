import HistoryChecker
import Sessions

/// One statement, or transaction, that a gateway has sent to the database.
final class DatabaseCall {
    enum Request {
        case load(SessionKey)
        case apply([RowChange])
        case due(at: SessionRecord.Timestamp)
    }

    enum Answer {
        case row(SessionRow?)
        case results([RowChangeResult])
        case due([DueRow])
        case failed(mayHaveHappened: Bool)
    }

    enum Waiter {
        case operation(TierRun)
        /// The tombstone of a destruction, beside what memcached is told.
        case burial(TierRun)
        case sync([RowChange])
        case touches([PendingTouches.Touch])
        /// What memcached has to be told.
        case question(absences: Int)
        case place(PlaceRun)
        case reap(ReapRun)
        case reaped(ReapRun, [RowChange])
        case nobody
    }

    let request: Request
    let waiter: Waiter
    let gateway: Int
    let gatewayLife: Int
    var answer: Answer?
    var isOver = false

    init(_ request: Request, for waiter: Waiter, gateway: Int, gatewayLife: Int) {
        self.request = request
        self.waiter = waiter
        self.gateway = gateway
        self.gatewayLife = gatewayLife
    }
}

/// One load, save, creation or destruction at one gateway: the production decisions, and whom they concern.
final class TierRun {
    enum Purpose {
        case load(Request, HistoryChecker.Beginning)
        case write(Request, HistoryChecker.WriteNumber, isDurable: Bool)
        case destroy(Request, isNew: Bool)
    }

    var machine: TierOperation
    let purpose: Purpose
    let session: Int
    let gateway: Int
    let gatewayLife: Int
    let began: EventQueue.Time
    var isOver = false
    var mustHaveExpired = false
    /// When it began.
    var mayHaveExpired = false
    /// What it was told is not all that the database knows.
    var hasDatabaseFailed = false
    /// The database says that it is destroyed.
    var isBuriedInRow = false
    /// Memcached says itself that there is no session.
    var isGoneInMemcached = false
    /// Where both are asked at once.
    var isBuriedInMemcached: Bool?
    var isBuriedInDatabase: Bool?

    init(
        _ goal: TierOperation.Goal,
        key: SessionKey,
        for purpose: Purpose,
        session: Int,
        gateway: Int,
        life: Int,
        began: Int
    ) {
        self.machine = TierOperation(goal, key: key)
        self.purpose = purpose
        self.session = session
        self.gateway = gateway
        self.gatewayLife = life
        self.began = began
    }
}

/// What memcached is told of one session.
final class PlaceRun {
    var machine: PlaceOperation
    let session: Int
    let gateway: Int
    let gatewayLife: Int

    init(key: SessionKey, session: Int, gateway: Int, life: Int) {
        self.machine = PlaceOperation(key: key)
        self.session = session
        self.gateway = gateway
        self.gatewayLife = life
    }
}

/// One pass of the reaper at the gateway that leads.
final class ReapRun {
    let gateway: Int
    let gatewayLife: Int
    var rows: [DueRow] = []
    var findings: [MemcachedFinding] = []
    var left = 0
    /// Those that something is done with.
    var changed: [DueRow] = []

    init(gateway: Int, life: Int) {
        self.gateway = gateway
        self.gatewayLife = life
    }
}
