package import NIOCore

/// Decides when a server is used, and when the next attempt to reach it is made. A value: time and chance come from outside.
///
/// A server is up only while a connection is there on which the greeting was answered: a stopped server accepts
/// connections all the same. The delay before the next attempt doubles with every failure, and the count of failures is
/// forgotten only by a connection that lived for `Policy.stableAfter`: a server that flaps is held out longer.
package struct ServerHealth: Sendable {
    package struct Policy: Sendable {
        /// The delay after the second failure. After the first one of a server that had been stable there is none.
        package var shortestDelay: TimeAmount = .milliseconds(50)
        package var longestDelay: TimeAmount = .seconds(5)
        package var stableAfter: TimeAmount = .seconds(10)

        package init() {}
    }

    package enum State: Sendable, Equatable {
        /// Nothing was tried yet.
        case new
        /// An attempt is under way. `known` = whether the outcome of an earlier one has been reported.
        case trying(known: Bool)
        case up(since: NIODeadline)
        /// Waits for the next attempt.
        case down
        case closed
    }

    package struct Failure: Sendable, Equatable {
        /// The next attempt is due after this. `nil`: closed, none will be made.
        package var retryAfter: TimeAmount?
        /// The server was up, or this was the very first attempt: to be logged.
        package var wentDown: Bool
    }

    package private(set) var state = State.new
    package private(set) var failures = 0
    private let policy: Policy

    package init(policy: Policy = Policy()) {
        self.policy = policy
    }

    package var isUp: Bool {
        if case .up = self.state { true } else { false }
    }

    /// What a command gets that is not sent because the server is not up.
    package var refusal: MemcachedError.Code {
        switch self.state {
        case .new, .trying(known: false), .closed: .notConnected
        case .trying(known: true), .up, .down: .heldDown
        }
    }

    /// - Returns: whether to connect now. `false` if an attempt or a connection is there already, or all is over.
    package mutating func attemptDue() -> Bool {
        switch self.state {
        case .new:
            self.state = .trying(known: false)
            return true
        case .down:
            self.state = .trying(known: true)
            return true
        case .trying, .up, .closed:
            return false
        }
    }

    /// - Returns: whether the server came up, to be logged.
    package mutating func greetingAnswered(at now: NIODeadline) -> Bool {
        guard case .trying = self.state else { return false }
        self.state = .up(since: now)
        return true
    }

    /// The attempt failed or the connection ended.
    ///
    /// - Parameter chance: 0..<1; the delay lies between half of its nominal value and the whole.
    package mutating func connectionFailed(at now: NIODeadline, chance: Double) -> Failure {
        let wentDown: Bool
        switch self.state {
        case .up(let since):
            if now - since >= self.policy.stableAfter { self.failures = 0 }
            wentDown = true
        case .trying(let known):
            wentDown = !known
        case .new, .down:
            wentDown = false
        case .closed:
            return Failure(retryAfter: nil, wentDown: false)
        }
        self.failures += 1
        self.state = .down
        return Failure(retryAfter: self.delay(chance: chance), wentDown: wentDown)
    }

    /// No attempt is due any more.
    package mutating func closed() {
        self.state = .closed
    }

    private func delay(chance: Double) -> TimeAmount {
        guard self.failures > 1 else { return .zero }
        let doublings = min(self.failures - 2, 20)
        let nominal = min(self.policy.shortestDelay.nanoseconds << doublings, self.policy.longestDelay.nanoseconds)
        return .nanoseconds(nominal / 2 + Int64(Double(nominal / 2) * min(max(chance, 0), 1)))
    }
}
