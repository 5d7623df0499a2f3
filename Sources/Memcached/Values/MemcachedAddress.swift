/// Where a memcached listens, as configured: nothing is resolved or lower-cased here.
package enum MemcachedAddress: Sendable, Hashable {
    /// A host name or an IP address (IPv6 without brackets) and a port of 1...65,535.
    case tcp(host: String, port: Int)
    /// An absolute path of 1...107 bytes.
    case unix(path: String)

    /// Reads `host:port`, `[::1]:11211`, `unix:/path`, `unix:///path` or `/path`.
    ///
    /// - Returns: `nil` for anything else: no port, a port out of range, a relative path, a path longer than a
    ///   `sockaddr_un` holds, spaces or control characters.
    package init?(parsing text: some StringProtocol) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { return nil }
        if let path = Self.path(in: text) {
            // sockaddr_un has 108 bytes, one of them for the NUL (unix(7)).
            guard path.utf8.first == UInt8(ascii: "/"), (2...107).contains(path.utf8.count) else { return nil }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        var host = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.count <= 5, digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let port = Int(digits), (1...65_535).contains(port)
        else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            // An IPv6 address without brackets: where it ends and the port begins cannot be told.
            return nil
        }
        guard !host.isEmpty, !host.contains("/"), !host.contains("["), !host.contains("]") else { return nil }
        self = .tcp(host: host, port: port)
    }

    private static func path(in text: some StringProtocol) -> String? {
        if text.hasPrefix("unix://") {
            String(text.dropFirst("unix://".count))
        } else if text.hasPrefix("unix:") {
            String(text.dropFirst("unix:".count))
        } else if text.hasPrefix("/") {
            String(text)
        } else {
            nil
        }
    }
}

extension MemcachedAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
