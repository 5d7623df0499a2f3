package import NIOCore

/// Decides when a server is used, and when the next attempt to reach it is made. A value: time and chance come from outside.
///
/// A server is up only while a connection is there on which the greeting was answered: a stopped server accepts
/// connections all the same. After a failure it is probed: at once, and then with a delay that doubles up to
/// `Policy.longestDelay`, so that a server that was away for long is soon used again. One that comes back and fails again
/// before it was up for `Policy.stableAfter` flaps, and is held out before it is probed at all, for a time that doubles up
/// to `Policy.longestHoldOut`.
package struct ServerHealth: Sendable {
    package struct Policy: Sendable {
        /// Before the second probe in a row.
        package var shortestDelay: TimeAmount = .milliseconds(50)
        /// Between two probes.
        package var longestDelay: TimeAmount = .seconds(1)
        /// Of a server that failed again before it was stable. Each time that it is let in may cost a time-out.
        package var shortestHoldOut: TimeAmount = .milliseconds(500)
        package var longestHoldOut: TimeAmount = .seconds(10)
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
    /// Since it was last up: the failure that took it down, and those of the probes.
    package private(set) var failures = 0
    /// How often it has come up since it was stable.
    package private(set) var flaps = 0
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
        var holdOut = TimeAmount.zero
        switch self.state {
        case .up(let since):
            if now - since >= self.policy.stableAfter { self.flaps = 0 }
            holdOut = Self.doubled(self.policy.shortestHoldOut, self.flaps, upTo: self.policy.longestHoldOut)
            self.flaps += 1
            self.failures = 0
            wentDown = true
        case .trying(let known):
            wentDown = !known
        case .new, .down:
            wentDown = false
        case .closed:
            return Failure(retryAfter: nil, wentDown: false)
        }
        let probe = Self.doubled(self.policy.shortestDelay, self.failures, upTo: self.policy.longestDelay)
        let delay = max(probe, holdOut)
        self.failures += 1
        self.state = .down
        // Half of it at random: the threads of all gateways shall not come at the same moment.
        let chosen = delay.nanoseconds / 2 + Int64(Double(delay.nanoseconds / 2) * min(max(chance, 0), 1))
        return Failure(retryAfter: .nanoseconds(chosen), wentDown: wentDown)
    }

    /// No attempt is due any more.
    package mutating func closed() {
        self.state = .closed
    }

    /// Nothing at first, then the shortest, twice that, and so on.
    private static func doubled(_ shortest: TimeAmount, _ times: Int, upTo longest: TimeAmount) -> TimeAmount {
        guard times > 0 else { return .zero }
        return min(.nanoseconds(shortest.nanoseconds << min(times - 1, 20)), longest)
    }
}
