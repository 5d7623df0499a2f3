import DequeModule

/// Whose turn it is to work on a session, for sites whose requests of one session go one after the other: first come,
/// first served. A value: no I/O.
package struct TurnQueue: Sendable {
    /// Names one request of the queue.
    package struct Ticket: Sendable, Hashable {
        fileprivate let number: UInt64
    }

    package enum Answer: Sendable, Hashable {
        /// It is its turn.
        case granted(Ticket)
        /// Others come first.
        case waiting(Ticket)
        /// As many wait already as may.
        case full
    }

    private struct Line {
        var holder: Ticket
        var waiting = Deque<Ticket>()
    }

    /// For each session, beside the one whose turn it is. Those that wait already go on doing so.
    package var maximumWaiting: Int
    private var lines: [SessionKey: Line] = [:]
    private var lastNumber: UInt64 = 0

    /// - Parameter maximumWaiting: for each session, beside the one whose turn it is.
    package init(maximumWaiting: Int) {
        self.maximumWaiting = maximumWaiting
    }

    package mutating func enter(_ key: SessionKey) -> Answer {
        guard var line = self.lines[key] else {
            let ticket = self.newTicket()
            self.lines[key] = Line(holder: ticket)
            return .granted(ticket)
        }
        guard line.waiting.count < self.maximumWaiting else { return .full }
        let ticket = self.newTicket()
        line.waiting.append(ticket)
        self.lines[key] = line
        return .waiting(ticket)
    }

    package func isHolder(_ ticket: Ticket, of key: SessionKey) -> Bool {
        self.lines[key]?.holder == ticket
    }

    package func isWaiting(_ ticket: Ticket, for key: SessionKey) -> Bool {
        self.lines[key]?.waiting.contains(ticket) ?? false
    }

    /// The turn is over, or it is waited for no longer. Without effect for a ticket that has left.
    ///
    /// - Returns: whose turn it is now, where that has changed.
    package mutating func leave(_ key: SessionKey, _ ticket: Ticket) -> Ticket? {
        guard var line = self.lines[key] else { return nil }
        guard line.holder == ticket else {
            line.waiting.removeAll { $0 == ticket }
            self.lines[key] = line
            return nil
        }
        guard let next = line.waiting.popFirst() else {
            self.lines[key] = nil
            return nil
        }
        line.holder = next
        self.lines[key] = line
        return next
    }

    /// Sessions that somebody works on.
    package var count: Int { self.lines.count }

    private mutating func newTicket() -> Ticket {
        self.lastNumber += 1
        return Ticket(number: self.lastNumber)
    }
}
