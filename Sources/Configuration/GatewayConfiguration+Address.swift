import Glibc

extension GatewayConfiguration {
    /// Where somebody listens: `unix:/path` (or the bare absolute path), `host:port` or `[IPv6 address]:port`.
    package enum Address: Sendable, Hashable {
        case unix(path: String)
        /// The host is a name or an address, an IPv6 address without its brackets.
        case tcp(host: String, port: Int)

        /// Why a text is no address.
        package struct Problem: Error, Equatable {
            package let message: String
        }

        package init(parsing text: String) throws(Problem) {
            if text.hasPrefix("unix:") {
                self = .unix(path: try Self.checkedPath(String(text.dropFirst("unix:".count))))
            } else if text.hasPrefix("/") {
                self = .unix(path: try Self.checkedPath(text))
            } else {
                self = try Self.tcp(parsing: text)
            }
        }

        private static func checkedPath(_ path: String) throws(Problem) -> String {
            guard path.hasPrefix("/") else {
                throw Problem(message: "a unix socket needs an absolute path: unix:/run/….sock")
            }
            // sockaddr_un.sun_path is 108 bytes with its NUL (unix(7)).
            guard path.utf8.count <= 107 else {
                throw Problem(message: "the path of a unix socket may have at most 107 bytes, not \(path.utf8.count)")
            }
            guard path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }), !path.hasSuffix("/") else {
                throw Problem(message: "that is not the path of a socket")
            }
            return path
        }

        private static func tcp(parsing text: String) throws(Problem) -> Address {
            guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
                throw Problem(message: "the port is missing: write host:port or unix:/path")
            }
            var host = text[..<colon]
            let portText = text[text.index(after: colon)...]
            guard !portText.isEmpty, portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let port = Int(portText), (1...65_535).contains(port)
            else {
                throw Problem(message: "the port must be a number from 1 to 65535")
            }
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
                guard IPRange(parsing: String(host))?.bytes.count == 16 else {
                    throw Problem(message: "what stands in brackets is not an IPv6 address")
                }
            } else if host.utf8.contains(UInt8(ascii: ":")) {
                throw Problem(message: "an IPv6 address stands in brackets: [::1]:11211")
            } else if host.isEmpty || host == "*" {
                throw Problem(
                    message: "the host is missing: write 127.0.0.1:\(port), or 0.0.0.0:\(port) for all addresses"
                )
            } else if !isHostName(host) {
                throw Problem(message: "that is not a host name or address")
            }
            return .tcp(host: String(host), port: port)
        }

        static func isHostName(_ text: some StringProtocol) -> Bool {
            (1...253).contains(text.utf8.count)
                && text.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
                        UInt8(ascii: "_"):
                        true
                    default:
                        false
                    }
                }
        }

        /// Whether only this machine can reach it. A host name other than `localhost` may be anything.
        package var isLocal: Bool {
            switch self {
            case .unix:
                return true
            case .tcp("localhost", _):
                return true
            case .tcp(let host, _):
                guard let bytes = IPRange(parsing: host)?.bytes else { return false }
                return bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
            }
        }
    }

    /// An address or a block of addresses: `10.0.0.7`, `10.0.0.0/8`, `2001:db8::/32`.
    package struct IPRange: Sendable, Hashable, CustomStringConvertible {
        /// 4 or 16 bytes in network order.
        package let bytes: [UInt8]
        /// How many leading bits count, at most `8 * bytes.count`.
        package let prefixLength: Int
        /// As it was written.
        package let description: String

        package init?(parsing text: String) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            let address = String(parts[0])
            var bytes = [UInt8](repeating: 0, count: 16)
            if inet_pton(AF_INET6, address, &bytes) == 1 {
                self.bytes = bytes
            } else if inet_pton(AF_INET, address, &bytes) == 1 {
                self.bytes = Array(bytes.prefix(4))
            } else {
                return nil
            }
            if parts.count == 2 {
                guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                    let length = Int(parts[1]), length <= 8 * self.bytes.count
                else { return nil }
                self.prefixLength = length
            } else {
                self.prefixLength = 8 * self.bytes.count
            }
            self.description = text
        }
    }
}

extension GatewayConfiguration.Address: CustomStringConvertible {
    /// In the form that `init(parsing:)` takes.
    package var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
