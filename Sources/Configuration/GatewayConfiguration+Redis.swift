extension GatewayConfiguration {
    /// A `session.save_path` of phpredis, as it stands: `tcp://host:6379?weight=2&database=1&prefix=p&auth=password` or
    /// `unix:///path?…`, several separated by commas or white space. Shown without its passwords.
    package struct RedisServers: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
        CustomReflectable
    {
        package struct Server: Sendable, Equatable {
            package var address: Address
            package var weight = 1
            package var database = 0
            package var prefix: String?
            package var user: String?
            package var password: String?
        }

        package let text: String
        package let servers: [Server]

        package struct Problem: Error, Equatable {
            /// Without the text, which may hold a password.
            package let message: String
        }

        package init(_ text: String) throws(Problem) {
            let entries = text.split { $0 == "," || $0.isWhitespace }
            guard (1...64).contains(entries.count), text.utf8.count <= 8_192 else {
                throw Problem(message: "names no server, or more than 64")
            }
            var servers: [Server] = []
            for entry in entries { servers.append(try Self.server(entry)) }
            self.servers = servers
            self.text = text
        }

        private static func server(_ entry: Substring) throws(Problem) -> Server {
            let parts = entry.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            let place = parts[0]
            var server: Server
            if place.hasPrefix("unix:") || place.hasPrefix("file:") {
                var path = place.dropFirst(5)
                while path.hasPrefix("//") { path.removeFirst() }
                server = Server(address: try Self.address("unix:\(path)"))
            } else if place.hasPrefix("tcp://") {
                let host = place.dropFirst(6)
                let hasPort = host.last == "]" ? false : host.contains(":")
                server = Server(address: try Self.address(hasPort ? String(host) : "\(host):6379"))
            } else {
                throw Problem(message: "each server begins with tcp:// or unix:/; TLS and clusters are not supported")
            }
            for parameter in parts.count > 1 ? parts[1].split(separator: "&") : [] {
                try Self.read(parameter, into: &server)
            }
            return server
        }

        private static func address(_ text: String) throws(Problem) -> Address {
            do throws(Address.Problem) {
                return try Address(parsing: text)
            } catch {
                throw Problem(message: "a server has no usable address: \(error.message)")
            }
        }

        private static func read(_ parameter: Substring, into server: inout Server) throws(Problem) {
            let pair = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let value = Self.decoded(pair[1]) else {
                throw Problem(message: "a parameter is not NAME=VALUE")
            }
            switch Self.decoded(pair[0]) {
            case "weight":
                guard let weight = Int(value), (1...1_000).contains(weight) else {
                    throw Problem(message: "weight must be 1 to 1000")
                }
                server.weight = weight
            case "database":
                guard let database = Int(value), (0...1_000_000).contains(database) else {
                    throw Problem(message: "database must be a number")
                }
                server.database = database
            case "prefix":
                server.prefix = value
            case "auth", "auth[pass]", "auth[1]":
                server.password = value
            case "auth[user]", "auth[0]":
                server.user = value
            case "auth[]":
                // A user and a password, or a password alone.
                if let first = server.password { server.user = first }
                server.password = value
            default:
                // Of PHP's own connections.
                break
            }
        }

        /// As PHP decodes a query.
        private static func decoded(_ text: Substring) -> String? {
            var bytes: [UInt8] = []
            var rest = text.utf8[...]
            while let byte = rest.popFirst() {
                if byte == UInt8(ascii: "%"), let value = UInt8(String(Substring(rest.prefix(2))), radix: 16),
                    rest.count >= 2
                {
                    rest = rest.dropFirst(2)
                    bytes.append(value)
                } else {
                    bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
                }
            }
            guard !bytes.contains(0) else { return nil }
            return String(validating: bytes, as: UTF8.self)
        }

        package var description: String {
            self.servers.contains { $0.password != nil } ? "redacted" : self.text
        }

        package var debugDescription: String { self.description }
        package var customMirror: Mirror { Mirror(self, children: []) }
    }
}
