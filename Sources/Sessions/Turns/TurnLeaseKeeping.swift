/// How a lease that is held stays held: renewed every few seconds, and looked after where that fails, as a renewal may have
/// been lost on its way, with its connection, or with the item itself. No I/O: it says what to do and is told what came of it.
package struct TurnLeaseKeeping: Sendable {
    package enum Step: Sendable, Hashable {
        /// Report back by `paused`.
        case pause(Duration)
        /// Compare-and-set by the token that is known. Report back by `answered`, as for those that follow.
        case renew
        /// Read the item: its value names its owner.
        case look
        /// The item is gone.
        case add
        /// Another gateway has it: of two saves one is discarded, as ever.
        case end
    }

    package enum Answer: Sendable, Hashable {
        case stored
        /// With its token.
        case found(isOwn: Bool)
        case absent
        /// The item has changed, is gone, or is there.
        case refused
        case failed
    }

    /// Three of them fit into the item's life.
    private static let interval: Duration = .seconds(3)
    private static let retry: Duration = .milliseconds(500)

    private var mustLook = false

    package init() {}

    package func start() -> Step { .pause(Self.interval) }

    package mutating func answered(_ answer: Answer) -> Step {
        switch answer {
        case .stored:
            self.mustLook = false
            return .pause(Self.interval)
        case .found(isOwn: true):
            return .renew
        case .found(isOwn: false):
            return .end
        case .absent:
            return .add
        case .refused, .failed:
            self.mustLook = true
            return .pause(Self.retry)
        }
    }

    package func paused() -> Step { self.mustLook ? .look : .renew }
}
