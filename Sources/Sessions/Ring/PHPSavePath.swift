/// PHP's `session.save_path` for memcached, as it stands in a php.ini: that of the memcache extension
/// (`tcp://host:port?weight=2&persistent=1`, `unix:///path?weight=1`) and that of php-memcached (`host:port:weight`, `/path:weight`).
package enum PHPSavePath {
    /// Which entry cannot be used, and why; made to be shown beside the configuration's line.
    package struct Failure: Error, Equatable, CustomStringConvertible {
        /// Counted from 1.
        package let entry: Int
        package let text: String
        package let reason: String

        package var description: String { "server \(self.entry), \"\(self.text)\": \(self.reason)" }
    }

    /// The port of php-memcached's entries that have none. The memcache extension has no default.
    private static let defaultPort = 11_211
    /// More would only make the ring slow; the extension's own weights are small.
    private static let largestWeight = 1_000

    /// - Parameter text: entries separated by commas or white space.
    /// - Throws: for the first entry that PHP itself could not use, or that makes no sense; and if there is none.
    package static func parse(_ text: some StringProtocol) throws(Failure) -> [RingServer] {
        let entries = text.split { $0 == "," || $0.isWhitespace }
        var servers = [RingServer]()
        for (index, entry) in entries.enumerated() {
            // php-memcached before 3.0 names a persistent connection first.
            if index == 0, entry.hasPrefix("PERSISTENT=") { continue }
            do {
                servers.append(try Self.server(Substring(entry)))
            } catch {
                throw Failure(entry: index + 1, text: String(entry), reason: error.text)
            }
        }
        guard !servers.isEmpty else { throw Failure(entry: 1, text: String(text), reason: "there is no server in it") }
        return servers
    }

    private struct Reason: Error {
        let text: String
    }

    private static func server(_ entry: Substring) throws(Reason) -> RingServer {
        var entry = entry
        var scheme: Substring?
        if let separator = Self.range(of: "://", in: entry) {
            scheme = entry[..<separator.lowerBound]
            entry = entry[separator.upperBound...]
        } else if entry.hasPrefix("unix:") || entry.hasPrefix("file:") {
            scheme = entry.prefix(4)
            entry = entry.dropFirst(5)
        }
        var weight: Int?
        if let question = entry.firstIndex(of: "?") {
            weight = try Self.weight(inQuery: entry[entry.index(after: question)...])
            entry = entry[..<question]
        }
        switch scheme {
        case nil where entry.hasPrefix("/"):
            return try Self.socket(entry, weight: weight, prefix: "")
        case "unix", "file":
            return try Self.socket(entry, weight: weight, prefix: "unix://")
        case nil, "tcp", "udp":
            return try Self.host(entry, weight: weight, hasScheme: scheme != nil)
        case .some(let scheme):
            throw Reason(text: "\(scheme):// is none of tcp://, udp:// and unix://")
        }
    }

    private static func socket(_ entry: Substring, weight: Int?, prefix: String) throws(Reason) -> RingServer {
        var path = entry
        var weight = weight
        if let colon = path.lastIndex(of: ":") {
            let number = path[path.index(after: colon)...]
            path = path[..<colon]
            // The memcache extension takes a port of 0 behind the path, php-memcached a weight.
            if prefix.isEmpty {
                weight = try Self.weight(number)
            } else if number != "0" {
                throw Reason(text: "a unix socket has no port")
            }
        }
        guard path.hasPrefix("/"), path.utf8.count > 1 else {
            throw Reason(text: "the path of a unix socket begins with /")
        }
        guard path.utf8.count <= 107 else { throw Reason(text: "the path of a unix socket has at most 107 bytes") }
        return RingServer(host: prefix + path, port: 0, weight: weight ?? 1)
    }

    private static func host(_ entry: Substring, weight: Int?, hasScheme: Bool) throws(Reason) -> RingServer {
        var entry = entry
        var weight = weight
        if entry.hasSuffix("/") { entry = entry.dropLast() }
        guard !entry.contains("@"), !entry.contains("/") else {
            throw Reason(text: "there is more than a host and a port")
        }

        let host: Substring
        if entry.hasPrefix("[") {
            guard let bracket = entry.firstIndex(of: "]") else {
                throw Reason(text: "there is no ] behind the address")
            }
            host = entry[...bracket]
            guard host.utf8.count > 2 else { throw Reason(text: "there is no host") }
        } else {
            host = entry.prefix { $0 != ":" }
            guard !host.isEmpty else { throw Reason(text: "there is no host") }
        }
        let rest = entry[host.endIndex...]
        guard rest.isEmpty || rest.hasPrefix(":") else { throw Reason(text: "there must be :port behind the address") }
        var numbers = rest.split(separator: ":", omittingEmptySubsequences: false).dropFirst()

        guard let first = numbers.popFirst() else {
            if hasScheme { throw Reason(text: "there is no port, and PHP's memcache extension has no default one") }
            return RingServer(host: String(host), port: Self.defaultPort, weight: weight ?? 1)
        }
        guard let port = Self.number(first), (1...65_535).contains(port) else {
            throw Reason(text: "the port is no number of 1 to 65535")
        }
        if let second = numbers.popFirst() {
            guard !hasScheme, weight == nil else { throw Reason(text: "there is more than a host and a port") }
            weight = try Self.weight(second)
        }
        guard numbers.isEmpty else {
            throw Reason(text: "there is more than host:port:weight; an IPv6 address stands in [ ]")
        }
        return RingServer(host: String(host), port: port, weight: weight ?? 1)
    }

    /// Parameters other than `weight` belong to PHP's own connections.
    private static func weight(inQuery query: Substring) throws(Reason) -> Int? {
        var weight: Int?
        for parameter in query.split(separator: "&") where parameter.hasPrefix("weight=") {
            weight = try Self.weight(parameter.dropFirst("weight=".count))
        }
        return weight
    }

    private static func weight(_ text: Substring) throws(Reason) -> Int {
        guard let weight = Self.number(text), (1...Self.largestWeight).contains(weight) else {
            throw Reason(text: "the weight is no number of 1 to \(Self.largestWeight)")
        }
        return weight
    }

    private static func number(_ text: Substring) -> Int? {
        guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func range(of text: String, in whole: Substring) -> Range<Substring.Index>? {
        var rest = whole
        while let colon = rest.firstIndex(of: ":") {
            if whole[colon...].hasPrefix(text) { return colon..<whole.index(colon, offsetBy: text.count) }
            rest = rest[rest.index(after: colon)...]
        }
        return nil
    }
}
