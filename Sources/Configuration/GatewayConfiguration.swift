/// Everything that the gateway can be told, with a default for all that has one.
///
/// Values from `ConfigurationFile` or `commandLine` have been checked whole: what is here can be used as it stands.
/// The meaning of each member is the sentence of its key in `ConfigurationKeys`.
package struct GatewayConfiguration: Sendable, Equatable {
    package var listeners: [Listener] = [Listener()]
    package var threads: Threads = .automatic
    package var headerTimeout: Duration = .seconds(10)
    package var clientTimeout: Duration = .seconds(60)
    /// Bytes per second; 0 turns the check off.
    package var minimumRate = 500
    package var maximumConnections = 16_384
    package var shutdownTimeout: Duration = .seconds(30)
    /// As configured; `lateSocketPath` is the path to use.
    package var lateSocket: String?
    package var lateGroup: String?
    package var lateTimeout: Duration = .seconds(60)
    package var logLevel: LogLevel = .info
    package var stateDirectory = "/var/lib/session-gateway"
    /// In the order of the file, at least one, with distinct names.
    package var sites: [Site] = []

    package init() {}

    /// The socket for late answers: the configured one, else `late.sock` beside the first unix listener, else in the
    /// state directory.
    package var lateSocketPath: String {
        if let lateSocket = self.lateSocket {
            return lateSocket
        }
        for listener in self.listeners {
            if case .unix(let path) = listener.address {
                return Self.sibling(of: path, named: "late.sock")
            }
        }
        return self.stateDirectory + "/late.sock"
    }

    /// What sockaddr_un has room for (unix(7): 108 bytes with a NUL), less a dot and a process's number: the socket is bound
    /// under that name and renamed.
    package static let maximumLateSocketPathLength = 99

    private static func sibling(of path: String, named name: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return name }
        return String(path[...slash]) + name
    }

    /// Where what must outlive a restart lies when the configuration does not say: `$STATE_DIRECTORY` (systemd; the
    /// first of several), else the XDG state directory, else `/var/lib/session-gateway`.
    package static func stateDirectory(environment: [String: String]) -> String {
        if let first = environment["STATE_DIRECTORY"]?.split(separator: ":").first, first.hasPrefix("/") {
            return String(first)
        }
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") {
            return state + "/session-gateway"
        }
        if let home = environment["HOME"], home.hasPrefix("/"), home != "/" {
            return home + "/.local/state/session-gateway"
        }
        return GatewayConfiguration().stateDirectory
    }
}

extension GatewayConfiguration {
    /// How many event loops run.
    package enum Threads: Sendable, Equatable {
        /// Half the cores, at least one: the backends and nginx need the other half.
        case automatic
        case count(Int)

        package func count(cores: Int) -> Int {
            switch self {
            case .automatic: max(1, cores / 2)
            case .count(let count): count
            }
        }
    }

    /// swift-log's levels, from the noisiest.
    package enum LogLevel: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    /// Text that never appears in a log, in an error or in the output of `check`.
    package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
        CustomReflectable
    {
        package let text: String

        package init(_ text: String) {
            self.text = text
        }

        package var description: String { "redacted" }
        package var debugDescription: String { "redacted" }
        package var customMirror: Mirror { Mirror(self, children: []) }
    }
}
