/// Why a connection was refused or cut.
package enum RefusalReason: String, Sendable, Hashable, CaseIterable {
    /// A record's version is not 1.
    case unsupportedVersion
    /// A record of request 0: libfcgi's answers to these are not safe, and no web server sends one.
    case managementRecord
    /// A record of another request than the one under way.
    case foreignRequest
    /// A role other than responder.
    case unsupportedRole
    /// A record that does not belong where it is.
    case unexpectedRecord
    /// Padding where libfcgi would take it for the next record.
    case unexpectedPadding
    /// A name-value pair that is cut off, or longer than any head may be.
    case malformedParameters
    /// An empty parameter name, or one with `=` or NUL in it.
    case malformedName
    /// A NUL in a parameter value.
    case malformedValue
    /// CONTENT_LENGTH is not a decimal number.
    case malformedContentLength
    /// The body is longer or shorter than CONTENT_LENGTH. Answered with status 400 while nobody has seen the request:
    /// nginx's `auth_request` sends subrequests without the body that their CONTENT_LENGTH announces.
    case wrongContentLength
    /// A parameter name above 256 bytes. Answered with status 431.
    case longName
    /// More than 512 parameters. Answered with status 431.
    case manyParameters
    /// A head above 128 KiB. Answered with status 431.
    case longHead
    /// The head did not arrive in time.
    case headTimedOut
    /// The body did not arrive in time.
    case bodyTimedOut
    /// The body arrives slower than the minimum rate.
    case bodyTooSlow
    /// The peer takes nothing of the response.
    case writeTimedOut
    /// More of an unread body than is worth reading.
    case drainLimit
    /// The peer closed in the middle of a request.
    case disconnected
    /// FCGI_ABORT_REQUEST.
    case aborted
    /// The next request before this one was answered: libfcgi's read-ahead would lose it.
    case pipelined
    /// libfcgi saw an error that the guard did not.
    case libraryError
    /// The client's address is not among the allowed ones.
    case clientNotAllowed
    /// The limit of connections is reached.
    case manyConnections
    /// The process or the system is out of descriptors.
    case noDescriptors
    /// The responder is shutting down and the time for it has passed.
    case shutDown

    /// Whether an ordinary client behind a well-behaved web server can cause it with a large request. These get an
    /// answer: a connection closed without one would make the web server count this gateway as failed.
    var isAnswered: Bool {
        switch self {
        case .longName, .manyParameters, .longHead, .wrongContentLength: true
        default: false
        }
    }

}
