import NIOCore

/// Who may run now, where only so many may at once: the decisions, without I/O and without a clock.
struct PlaceStateMachine<Waiter: AnyObject> {
    enum ArrivalAction {
        case proceed
        /// - Parameter armTimer: when `expire` wants to be called, where no timer runs yet.
        case wait(armTimer: NIODeadline?)
        case refuse(isShuttingDown: Bool)
    }

    private let maximumCount: Int
    private var takenCount = 0
    private var line: WaitingLine<Waiter>
    private var isShuttingDown = false

    init(maximumCount: Int, line: WaitingLine<Waiter>) {
        self.maximumCount = maximumCount
        self.line = line
    }

    /// Nobody runs and nobody waits.
    var isDrained: Bool { self.takenCount == 0 && self.line.isEmpty }

    mutating func requestArrived(_ waiter: Waiter, on loop: ObjectIdentifier, now: NIODeadline) -> ArrivalAction {
        guard !self.isShuttingDown else { return .refuse(isShuttingDown: true) }
        if self.takenCount < self.maximumCount {
            self.takenCount += 1
            return .proceed
        }
        switch self.line.join(waiter, on: loop, now: now) {
        case .waiting(let deadline): return .wait(armTimer: deadline)
        case .full: return .refuse(isShuttingDown: false)
        }
    }

    /// - Returns: who takes the place over.
    mutating func placeFreed() -> Waiter? {
        if let entry = self.line.popFirst() { return entry.waiter }
        self.takenCount -= 1
        return nil
    }

    /// - Returns: whether it was waiting in line.
    mutating func giveUp(_ waiter: Waiter) -> Bool {
        self.line.remove(waiter)
    }

    mutating func expire(now: NIODeadline) -> (expired: [Waiter], armTimer: NIODeadline?) {
        self.line.expire(now: now)
    }

    /// Refuses new requests; those in line still get their turn.
    mutating func shutDown() {
        self.isShuttingDown = true
    }
}
