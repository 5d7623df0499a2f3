package import NIOCore

/// Keeps requests from waiting for a store that does not answer: after `failuresToOpen` failures in a row nobody asks it for
/// a while, which doubles up to `longestPause`; then one request tries. A value: time comes from outside.
package struct SourceBreaker: Sendable {
    static let failuresToOpen = 3
    static let shortestPause: TimeAmount = .milliseconds(500)
    static let longestPause: TimeAmount = .seconds(8)

    private var failures = 0
    private var closedUntil: NIODeadline?
    private var pauses = 0

    package init() {}

    package enum Change: Sendable, Equatable {
        case none
        /// To be logged.
        case opened, closed
    }

    /// Whether a request may ask. Where it was open, this one tries, and others wait for what it finds.
    package mutating func admits(at now: NIODeadline) -> Bool {
        guard let until = self.closedUntil else { return true }
        guard now >= until else { return false }
        self.closedUntil = now + self.pause
        return true
    }

    package mutating func succeeded() -> Change {
        self.failures = 0
        self.pauses = 0
        guard self.closedUntil != nil else { return .none }
        self.closedUntil = nil
        return .closed
    }

    package mutating func failed(at now: NIODeadline) -> Change {
        self.failures += 1
        guard self.failures >= Self.failuresToOpen else { return .none }
        let wasOpen = self.closedUntil != nil
        self.closedUntil = now + self.pause
        self.pauses += 1
        return wasOpen ? .none : .opened
    }

    private var pause: TimeAmount {
        min(.nanoseconds(Self.shortestPause.nanoseconds << min(self.pauses, 10)), Self.longestPause)
    }
}
