import DequeModule
import NIOCore

/// A bounded line of requests that wait for a connection or a process: first come, first served.
///
/// All wait equally long, so that the deadlines are in order too and one timer is enough.
struct WaitingLine<Waiter: AnyObject> {
    struct Entry {
        var waiter: Waiter
        var deadline: NIODeadline
        /// The event loop that the waiter prefers to be served on.
        var loop: ObjectIdentifier
    }

    enum JoinResult {
        /// - Parameter armTimer: set where no timer runs yet: when `expire` wants to be called.
        case waiting(armTimer: NIODeadline?)
        case full
    }

    private let maximumCount: Int
    private let patience: TimeAmount
    private var entries: Deque<Entry> = []
    private var timerIsArmed = false

    init(maximumCount: Int, patience: TimeAmount) {
        self.maximumCount = maximumCount
        self.patience = patience
    }

    var isEmpty: Bool { self.entries.isEmpty }
    var count: Int { self.entries.count }
    var first: Entry? { self.entries.first }

    mutating func join(_ waiter: Waiter, on loop: ObjectIdentifier, now: NIODeadline) -> JoinResult {
        guard self.entries.count < self.maximumCount else { return .full }
        let entry = Entry(waiter: waiter, deadline: now + self.patience, loop: loop)
        self.entries.append(entry)
        return .waiting(armTimer: self.armTimer())
    }

    /// Puts a waiter that had its turn, in vain, before all others. It is not refused: it was counted before.
    mutating func rejoin(_ waiter: Waiter, on loop: ObjectIdentifier, now: NIODeadline) -> NIODeadline? {
        let deadline = min(now + self.patience, self.entries.first?.deadline ?? .distantFuture)
        self.entries.prepend(Entry(waiter: waiter, deadline: deadline, loop: loop))
        return self.armTimer()
    }

    mutating func popFirst() -> Entry? {
        self.entries.popFirst()
    }

    /// - Returns: whether it was waiting.
    mutating func remove(_ waiter: Waiter) -> Bool {
        guard let index = self.entries.firstIndex(where: { $0.waiter === waiter }) else { return false }
        self.entries.remove(at: index)
        return true
    }

    /// The timer has fired: takes out all whose time is over.
    /// - Returns: these, and when to call again, if at all.
    mutating func expire(now: NIODeadline) -> (expired: [Waiter], armTimer: NIODeadline?) {
        var expired: [Waiter] = []
        while let entry = self.entries.first, entry.deadline <= now {
            expired.append(entry.waiter)
            self.entries.removeFirst()
        }
        self.timerIsArmed = false
        return (expired, self.entries.isEmpty ? nil : self.armTimer())
    }

    private mutating func armTimer() -> NIODeadline? {
        guard !self.timerIsArmed, let first = self.entries.first else { return nil }
        self.timerIsArmed = true
        return first.deadline
    }
}
