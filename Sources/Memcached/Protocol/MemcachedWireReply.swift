import NIOCore

/// One answer as it stands on the wire, before anybody knows which command it belongs to.
enum MemcachedWireReply: Sendable, Equatable {
    /// The return flags that the client asks for; others are ignored.
    struct Flags: Sendable, Equatable {
        /// `c`
        var token: UInt64?
        /// `t`; -1 = without expiry.
        var secondsToLive: Int64?
        /// `f`
        var clientFlags: UInt32?
        /// `O`
        var opaque: UInt64?
    }

    /// What the client wants to know of all that `stats` and `stats settings` tell.
    struct Report: Sendable, Equatable {
        var settings = MemcachedSettings()
        var statistics = MemcachedStatistics()
    }

    /// `VA`
    case value(ByteBuffer, Flags)
    /// `HD`
    case stored(Flags)
    /// `EN`
    case miss(Flags)
    /// `NS`
    case notStored(Flags)
    /// `EX`
    case exists(Flags)
    /// `NF`
    case notFound(Flags)
    /// `MN`
    case noop
    case version(String)
    /// All `STAT` lines up to `END`.
    case report(Report)
    case serverError(MemcachedReply.ServerErrorKind)
    /// `CLIENT_ERROR`; `dataWasSwallowed`: the text is one of those after which the data of an `ms` has been skipped.
    case clientError(dataWasSwallowed: Bool)
    /// A refusal after which the connection is of no use.
    case refusal(Refusal)

    enum Refusal: String, Sendable {
        case unauthenticated = "the server wants authentication"
        case tooManyConnections = "the server has too many open connections"
        case unknownCommand = "the server does not know a command"
    }
}
