/// What can go wrong on the web server's side.
package struct ResponderError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A listener cannot be opened as configured.
        case invalidListener
        /// Somebody else listens at the address.
        case addressInUse
        /// The system refused a descriptor, a thread or an operation on one.
        case system
        /// The web server went away, broke the protocol, sent a body of another length than announced, or was too slow.
        case clientGone
        /// The calling task was cancelled while it waited; the request goes on.
        case cancelled
        /// The request has been finished or aborted already.
        case requestEnded
    }

    package let code: Code
    /// For the log: names the address and the remedy, or what the peer did; never anything from the request.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}
