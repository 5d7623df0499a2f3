/// How one gateway gets the turn on a session from the others: an item that only one can add, on the first server of the
/// session that answers. No I/O: it says what to do and is told what came of it.
///
/// It keeps requests apart and protects nothing: where servers fail, two gateways may find different ones first, and of
/// their saves one is discarded as ever.
package struct TurnLeaseAttempt: Sendable {
    package enum Step: Sendable, Hashable {
        /// Add the item on the server at this position of the session's replica set. Report back by `answered`.
        case add(position: Int)
        /// Report back by `paused`.
        case pause(Duration)
        case finish(Result)
    }

    package enum Answer: Sendable, Hashable {
        case added
        /// Another gateway has the turn.
        case taken
        /// The server cannot be asked.
        case failed
    }

    package enum Result: Sendable, Hashable {
        /// - Parameter position: where the item is.
        case held(position: Int)
        /// No server can be asked: the request goes on without, as nobody can be told.
        case unprotected
        case timedOut
    }

    private let serverCount: Int
    private let timeout: Duration
    private var position = 0
    private var pause = Self.shortestPause

    private static let shortestPause: Duration = .milliseconds(5)
    private static let longestPause: Duration = .milliseconds(80)

    /// - Parameters:
    ///   - serverCount: of the session's replica set.
    ///   - timeout: how long the turn is waited for.
    package init(serverCount: Int, timeout: Duration) {
        self.serverCount = serverCount
        self.timeout = timeout
    }

    package func start() -> Step {
        self.serverCount == 0 ? .finish(.unprotected) : .add(position: 0)
    }

    /// - Parameters:
    ///   - elapsed: since the start.
    ///   - random: keeps gateways from asking at the same moments.
    package mutating func answered(_ answer: Answer, elapsed: Duration, random: UInt64) -> Step {
        switch answer {
        case .added:
            return .finish(.held(position: self.position))
        case .failed:
            self.position += 1
            return self.position < self.serverCount ? .add(position: self.position) : .finish(.unprotected)
        case .taken:
            guard elapsed < self.timeout else { return .finish(.timedOut) }
            let pause = min(self.pause / 2 + self.pause * Int(random % 1_024) / 1_024, self.timeout - elapsed)
            self.pause = min(self.pause * 2, Self.longestPause)
            return .pause(pause)
        }
    }

    /// A server that could not be asked may be back.
    package mutating func paused() -> Step {
        self.position = 0
        return .add(position: 0)
    }
}
