/// One server of a ring as configured. The host's spelling is part of what is hashed: `localhost` is not `127.0.0.1`.
package struct RingServer: Sendable, Hashable {
    /// A host name or address (IPv6 in brackets), or the path of a unix socket, as `/path` or `unix:///path`.
    package let host: String
    /// 0 for a unix socket.
    package let port: Int
    /// At least 1: less counts as 1, as in libmemcached.
    package let weight: Int

    package init(host: String, port: Int, weight: Int = 1) {
        self.host = host
        self.port = port
        self.weight = max(weight, 1)
    }

    /// The path if this is a unix socket.
    package var socketPath: String? {
        if self.host.hasPrefix("/") {
            self.host
        } else if self.host.hasPrefix("unix://") {
            String(self.host.dropFirst("unix://".count))
        } else {
            nil
        }
    }

    /// `host:port` or `unix:/path`: where to connect to.
    package var address: String {
        self.socketPath.map { "unix:\($0)" } ?? "\(self.host):\(self.port)"
    }
}
