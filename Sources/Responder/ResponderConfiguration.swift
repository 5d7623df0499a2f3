/// How the web server's side listens and what it puts up with.
package struct ResponderConfiguration: Sendable {
    /// An address to listen at.
    package struct Listener: Sendable, Hashable {
        package enum Address: Sendable, Hashable, CustomStringConvertible {
            case unix(path: String)
            /// A numeric address or a name; `*` and the empty string are all addresses. IPv6 without brackets.
            case tcp(host: String, port: Int)

            package var description: String {
                switch self {
                case .unix(let path): "unix:\(path)"
                case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
                }
            }
        }

        package var address: Address
        /// The socket file's permissions. Whoever may connect may name any script: this is the boundary.
        package var mode: UInt32
        /// The socket file's group, a name or a number; the process's own where absent.
        package var group: String?
        /// Addresses and CIDR blocks that may connect over TCP; empty allows all, which only a loopback address may.
        package var allowedClients: [String]
        /// Connections that wait to be accepted; the system caps it (`net.core.somaxconn`).
        package var backlog: Int

        package init(
            _ address: Address,
            mode: UInt32 = 0o660,
            group: String? = nil,
            allowedClients: [String] = [],
            backlog: Int = 511
        ) {
            self.address = address
            self.mode = mode
            self.group = group
            self.allowedClients = allowedClients
            self.backlog = backlog
        }
    }

    package var listeners: [Listener]
    /// From the first byte of a request to the last one of its head.
    package var headerTimeout: Duration = .seconds(10)
    /// The most that one request's body may keep us waiting, in sum. Time in which nobody asks for it does not count.
    package var clientTimeout: Duration = .seconds(60)
    /// Bytes per second that a body which is waited for must bring, after five seconds of waiting; 0 is no limit.
    package var minimumRate = 500
    /// How long the peer may take nothing of a response that waits for it.
    package var writeTimeout: Duration = .seconds(60)
    /// Connections beyond this are closed at once.
    package var maximumConnections = 16_384
    /// Bodies of a known length up to this are complete before the handler sees the request: a slow client of a small
    /// form holds no backend.
    package var completeBodyLimit = 64 * 1024
    /// The most of an unread body that is read and thrown away to keep a connection.
    package var drainLimit = 1024 * 1024
    /// The longest time for that.
    package var drainTimeout: Duration = .seconds(2)
    /// `write` waits while more than this waits for the peer.
    package var outputLimit = 64 * 1024

    package init(listeners: [Listener]) {
        self.listeners = listeners
    }
}
