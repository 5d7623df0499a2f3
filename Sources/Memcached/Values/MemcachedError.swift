/// Why a command has no answer.
package struct MemcachedError: Error {
    package enum Code: String, Sendable {
        /// Never connected yet, or closed for good.
        case notConnected
        /// The server is known to be down; the next attempt to reach it is scheduled.
        case heldDown
        /// As many commands, or bytes of values, are unanswered as the configuration admits.
        case queueFull
        /// No answer within the operation time-out (or, for a connection, within the connect time-out). The connection has been closed.
        case timedOut
        /// The connection ended first, or it is no longer the one that was asked for.
        case connectionClosed
        /// The server's bytes are not the answer to what was sent. The connection has been closed.
        case outOfStep
        /// The value is larger than the server's `item_size_max` admits: sending it would delete the old one.
        case valueTooLarge
        /// The server cannot be used: too old, without CAS, wants authentication, or has no connection left.
        case unusableServer
        /// Another dump is under way on the server, after all retries.
        case busy
        /// Could not connect.
        case connectFailed
        /// The task was cancelled.
        case cancelled
    }

    package let code: Code
    /// Whether the command, if it was a write, may have been executed, now or later. `false` is certain.
    package let mayHaveReachedServer: Bool
    /// A sentence for the log, out of a fixed vocabulary: never bytes from the server, keys or values.
    package let message: String
    package let underlying: (any Error)?

    package init(
        _ code: Code,
        mayHaveReachedServer: Bool = false,
        _ message: String = "",
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.mayHaveReachedServer = mayHaveReachedServer
        self.message = message
        self.underlying = underlying
    }
}

extension MemcachedError: CustomStringConvertible {
    package var description: String {
        var text = self.code.rawValue
        if !self.message.isEmpty { text += ": \(self.message)" }
        if let underlying { text += " (\(underlying))" }
        return text
    }
}
