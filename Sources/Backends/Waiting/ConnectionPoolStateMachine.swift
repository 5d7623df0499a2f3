import NIOCore

/// Who may use which connection: the decisions of a pool over several upstreams, without I/O and without a clock.
///
/// An upstream has at most `maximumConnections`, over all event loops together, counted from the attempt to connect
/// until the connection is closed. A request takes an idle connection of its own event loop that has rested, else a new
/// one, else the one that has been idle for longest; upstreams take turns. Rest: a script may go on after the end of its
/// response (`fastcgi_finish_request()`), and the next request on its connection would wait for it.
///
/// Where all are busy a request waits in line. An upstream that could not be reached is held out, at first for 100 ms,
/// twice as long each time up to 5 s; when all are held out, the one whose time is over first is tried nevertheless, so
/// that a single upstream that comes back is in use at once.
struct ConnectionPoolStateMachine<Connection: AnyObject, Waiter: AnyObject> {
    enum Lease {
        case use(Connection)
        case connect(upstream: Int)
    }

    enum Refusal {
        case full
        case shuttingDown
        /// No upstream is left to be tried.
        case unreachable
    }

    enum LeaseAction {
        case proceed(Lease)
        /// - Parameters:
        ///   - armTimer: when `expire` wants to be called, where no timer runs yet.
        ///   - turn: of whoever waits for longest, where a place is free after all.
        case wait(armTimer: NIODeadline?, turn: Turn?)
        case refuse(Refusal)
    }

    enum FreeAction {
        /// - Parameter turn: of the next one that waits, where another place is free: an upstream may be back in use.
        case hand(to: Waiter, turn: Turn?)
        case park
        case close
    }

    /// A waiter whose turn has come because a place is free.
    struct Turn {
        var waiter: Waiter
        var lease: Lease
    }

    struct ConnectFailure {
        var action: LeaseAction
        var turn: Turn?
        /// The upstream was in use until now.
        var wentDown: Bool
    }

    private struct Upstream {
        /// The most recently used last.
        var idle: [(connection: Connection, loop: ObjectIdentifier, since: NIODeadline)] = []
        /// Connecting, leased and idle ones.
        var openCount = 0
        var failureCount = 0
        var heldOutUntil: NIODeadline?
    }

    /// Longer than what an ordinary script still does after its response.
    static var rest: TimeAmount { .milliseconds(50) }

    private let maximumConnections: Int
    private var upstreams: [Upstream]
    private var line: WaitingLine<Waiter>
    private var turnOf = 0
    private var isShuttingDown = false

    init(upstreamCount: Int, maximumConnections: Int, line: WaitingLine<Waiter>) {
        self.maximumConnections = maximumConnections
        self.upstreams = Array(repeating: Upstream(), count: upstreamCount)
        self.line = line
    }

    /// No connection is open and nobody waits.
    var isDrained: Bool {
        self.line.isEmpty && self.upstreams.allSatisfy { $0.openCount == 0 }
    }

    var openCount: Int { self.upstreams.reduce(0) { $0 + $1.openCount } }
    var waitingCount: Int { self.line.count }

    mutating func requestArrived(_ waiter: Waiter, on loop: ObjectIdentifier, now: NIODeadline) -> LeaseAction {
        guard !self.isShuttingDown else { return .refuse(.shuttingDown) }
        // Whoever waits already comes first.
        if self.line.isEmpty, let lease = self.choose(on: loop, except: [], now: now) {
            return .proceed(lease)
        }
        switch self.line.join(waiter, on: loop, now: now) {
        case .waiting(let deadline): return .wait(armTimer: deadline, turn: self.nextTurn(now: now))
        case .full: return .refuse(.full)
        }
    }

    /// A request that had its turn found its connection closed: it is the first of those that wait.
    mutating func requestReturned(_ waiter: Waiter, on loop: ObjectIdentifier, now: NIODeadline) -> LeaseAction {
        if let lease = self.choose(on: loop, except: [], now: now) {
            return .proceed(lease)
        }
        return .wait(armTimer: self.line.rejoin(waiter, on: loop, now: now), turn: nil)
    }

    /// - Returns: whether the upstream had been given up before.
    mutating func connectSucceeded(upstream: Int) -> Bool {
        let cameBack = self.upstreams[upstream].failureCount > 0
        self.upstreams[upstream].failureCount = 0
        self.upstreams[upstream].heldOutUntil = nil
        return cameBack
    }

    /// - Parameter tried: the upstreams that could not be reached for this request, this one included.
    mutating func connectFailed(
        upstream: Int,
        waiter: Waiter,
        tried: [Int],
        on loop: ObjectIdentifier,
        now: NIODeadline
    ) -> ConnectFailure {
        self.upstreams[upstream].openCount -= 1
        let wentDown = self.upstreams[upstream].failureCount == 0
        let exponent = min(self.upstreams[upstream].failureCount, 6)
        self.upstreams[upstream].failureCount += 1
        let pause = min(TimeAmount.milliseconds(100 << exponent), .seconds(5))
        self.upstreams[upstream].heldOutUntil = now + pause

        let action: LeaseAction
        if let lease = self.choose(on: loop, except: tried, now: now) {
            action = .proceed(lease)
        } else if self.upstreams.indices.contains(where: { !tried.contains($0) }) {
            action = .wait(armTimer: self.line.rejoin(waiter, on: loop, now: now), turn: nil)
        } else {
            action = .refuse(.unreachable)
        }
        return ConnectFailure(action: action, turn: self.nextTurn(now: now), wentDown: wentDown)
    }

    /// A request has ended and its connection can be used again.
    mutating func connectionFreed(
        _ connection: Connection,
        upstream: Int,
        loop: ObjectIdentifier,
        now: NIODeadline
    ) -> FreeAction {
        if let entry = self.line.popFirst() {
            return .hand(to: entry.waiter, turn: self.nextTurn(now: now))
        }
        guard !self.isShuttingDown else { return .close }
        self.upstreams[upstream].idle.append((connection, loop, now))
        return .park
    }

    /// - Returns: the request whose turn it is now.
    mutating func connectionClosed(_ connection: Connection, upstream: Int, now: NIODeadline) -> Turn? {
        self.upstreams[upstream].idle.removeAll { $0.connection === connection }
        self.upstreams[upstream].openCount -= 1
        return self.nextTurn(now: now)
    }

    /// A connection has been idle for too long.
    /// - Returns: whether to close it; not if a request has just taken it.
    mutating func idleTimedOut(_ connection: Connection, upstream: Int) -> Bool {
        guard let index = self.upstreams[upstream].idle.firstIndex(where: { $0.connection === connection }) else {
            return false
        }
        self.upstreams[upstream].idle.remove(at: index)
        return true
    }

    /// - Returns: whether it was waiting in line.
    mutating func giveUp(_ waiter: Waiter) -> Bool {
        self.line.remove(waiter)
    }

    mutating func expire(now: NIODeadline) -> (expired: [Waiter], armTimer: NIODeadline?) {
        self.line.expire(now: now)
    }

    /// Refuses new requests; those in line still get their turn.
    /// - Returns: the idle connections, to be closed.
    mutating func shutDown() -> [Connection] {
        self.isShuttingDown = true
        var connections: [Connection] = []
        for index in self.upstreams.indices {
            connections += self.upstreams[index].idle.map(\.connection)
            self.upstreams[index].idle = []
        }
        return connections
    }

    private mutating func nextTurn(now: NIODeadline) -> Turn? {
        guard let first = self.line.first, let lease = self.choose(on: first.loop, except: [], now: now) else {
            return nil
        }
        _ = self.line.popFirst()
        return Turn(waiter: first.waiter, lease: lease)
    }

    private mutating func choose(on loop: ObjectIdentifier, except tried: [Int], now: NIODeadline) -> Lease? {
        let count = self.upstreams.count
        var lastResort: Int?
        var everyOneIsHeldOut = true
        for offset in 0..<count {
            let index = (self.turnOf + offset) % count
            guard !tried.contains(index) else { continue }
            if let until = self.upstreams[index].heldOutUntil, until > now {
                if let other = lastResort, (self.upstreams[other].heldOutUntil ?? now) <= until { continue }
                lastResort = index
                continue
            }
            everyOneIsHeldOut = false
            if let lease = self.take(index, on: loop, now: now) {
                self.turnOf = (index + 1) % count
                return lease
            }
        }
        guard everyOneIsHeldOut, let lastResort else { return nil }
        return self.take(lastResort, on: loop, now: now)
    }

    private mutating func take(_ index: Int, on loop: ObjectIdentifier, now: NIODeadline) -> Lease? {
        if let position = self.upstreams[index].idle.firstIndex(where: { $0.loop == loop }),
            now - self.upstreams[index].idle[position].since >= Self.rest
                || self.upstreams[index].openCount >= self.maximumConnections
        {
            return .use(self.upstreams[index].idle.remove(at: position).connection)
        }
        if self.upstreams[index].openCount < self.maximumConnections {
            self.upstreams[index].openCount += 1
            return .connect(upstream: index)
        }
        guard !self.upstreams[index].idle.isEmpty else { return nil }
        return .use(self.upstreams[index].idle.removeFirst().connection)
    }
}
