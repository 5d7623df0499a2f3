package import NIOCore

/// When the next session may be begun, so that there are at most so many a second. A value: no I/O.
package struct RepairPace: Sendable {
    /// Nanoseconds from one session to the next; zero: no limit.
    private let interval: Int64
    /// When the next session is due.
    private var next: NIODeadline
    /// What was not begun in time may be made up for within this time.
    private static let slack: TimeAmount = .milliseconds(20)

    /// - Parameter rate: sessions per second; nil: no limit.
    package init(rate: Int?, now: NIODeadline) {
        self.interval = rate.map { 1_000_000_000 / Int64(max($0, 1)) } ?? 0
        self.next = now
    }

    /// Counts one session in.
    ///
    /// - Returns: nil where it may begin now; else when to ask again, and nothing has been counted.
    package mutating func begin(now: NIODeadline) -> NIODeadline? {
        guard self.interval > 0 else { return nil }
        if self.next > now { return self.next }
        self.next = max(self.next, now - Self.slack) + .nanoseconds(self.interval)
        return nil
    }
}
