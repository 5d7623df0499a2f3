/// A connection to one server, unique in the process. What was seen on it is good on it only.
package struct ConnectionIdentity: Sendable, Hashable {
    package var number: UInt64

    package init(number: UInt64) {
        self.number = number
    }
}

/// The compare-and-set token of a value, with the connection that saw it.
package struct ReplicaToken: Sendable, Hashable {
    package var value: UInt64
    package var connection: ConnectionIdentity

    package init(value: UInt64, connection: ConnectionIdentity) {
        self.value = value
        self.connection = connection
    }
}

/// What the server of one position is asked.
package enum ReplicaCommand: Sendable, Equatable {
    package enum Condition: Sendable, Hashable {
        /// Only where there is none; good on the connection that saw the absence, or on any for a fresh id (nil).
        case add(ConnectionIdentity?)
        case compareAndSet(ReplicaToken)
    }

    /// - Parameter touch: slide the idle expiry.
    case read(touch: Bool)
    case write(ReplicaCopy, Condition, CopyLifetime)
}

/// What came back. A time-out and a lost connection are both `failed`: nothing is known.
package enum ReplicaAnswer: Sendable, Equatable {
    case copy(ReplicaCopy, ReplicaToken, secondsToLive: Int?)
    /// - Parameter isComplete: whether the server has been marked complete in its present life. Only then its absence
    ///   is a vote.
    case absent(ConnectionIdentity, isComplete: Bool)
    /// A value that does not decode. No vote; it may be overwritten.
    case corrupt(ReplicaToken)
    case stored(ReplicaToken)
    /// The condition did not hold; nothing was written.
    case refused
    /// The server cannot keep the value: it is too large for it, or its memory is full. What it held of the key may be gone.
    case declined
    case failed
}

/// What the operation wants done next.
package enum ReplicaStep: Sendable {
    /// The answer is due with the same `call`; answers to earlier calls are ignored.
    case send(ReplicaCommand, to: Int, call: ReplicaCall)
    /// Report back by `backOffElapsed()`.
    case backOff(Duration)
    case finish(ReplicaOutcome)
}

/// Which stage of an operation asked.
package struct ReplicaCall: Sendable, Hashable {
    /// Of a command whose answer nobody waits for.
    package static let unawaited = ReplicaCall(number: 0)

    package var number: UInt32

    package init(number: UInt32) {
        self.number = number
    }
}

/// Where an operation's time and chance come from.
package protocol ReplicaSurroundings {
    /// Positions whose server is known to be down: never asked.
    var heldDown: Positions { get }
    /// Whether the operation is younger than the longest time in which it may acknowledge anything (`D`).
    var mayAcknowledge: Bool { get }
    /// By the gateway's own clock.
    var now: SessionRecord.Timestamp { get }
    mutating func randomNumber() -> UInt64
}
