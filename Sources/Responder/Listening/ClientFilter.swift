import Glibc

/// The addresses that may connect to a TCP listener.
struct ClientFilter: Sendable, Equatable {
    /// An address block; IPv4 is kept as IPv4-mapped IPv6, which is also how an IPv6 listener sees such a client.
    private struct Block: Equatable {
        var bytes: [UInt8]
        var prefixLength: Int
    }

    private var blocks: [Block] = []

    /// - Throws: with the text that is no address.
    init(_ texts: [String]) throws(ResponderError) {
        for text in texts {
            guard let block = Self.block(text) else {
                throw ResponderError(.invalidListener, "allowed client \"\(text)\" is no address and no CIDR block")
            }
            self.blocks.append(block)
        }
    }

    var isEmpty: Bool { self.blocks.isEmpty }

    /// - Parameter address: 16 bytes, as `ClientFilter.bytes` returns them.
    func allows(_ address: [UInt8]) -> Bool {
        self.blocks.isEmpty || self.blocks.contains { Self.matches($0, address) }
    }

    private static func matches(_ block: Block, _ address: [UInt8]) -> Bool {
        guard address.count == 16 else { return false }
        let whole = block.prefixLength / 8
        guard block.bytes[..<whole].elementsEqual(address[..<whole]) else { return false }
        let rest = block.prefixLength % 8
        guard rest > 0 else { return true }
        return (block.bytes[whole] ^ address[whole]) >> UInt8(8 - rest) == 0
    }

    private static func block(_ text: String) -> Block? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let (bytes, isIPv4) = Self.parse(String(parts[0])) else { return nil }
        guard parts.count == 2 else { return Block(bytes: bytes, prefixLength: 128) }
        guard let length = Int(parts[1]), parts[1].utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        guard (0...(isIPv4 ? 32 : 128)).contains(length) else { return nil }
        return Block(bytes: bytes, prefixLength: isIPv4 ? length + 96 : length)
    }

    private static let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

    private static func parse(_ text: String) -> (bytes: [UInt8], isIPv4: Bool)? {
        var bytes = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, text, &bytes) == 1 { return (Self.mappedPrefix + bytes, true) }
        bytes = [UInt8](repeating: 0, count: 16)
        return inet_pton(AF_INET6, text, &bytes) == 1 ? (bytes, false) : nil
    }

    /// The 16 bytes of a peer's address, empty for a family other than IPv4 and IPv6.
    static func bytes(_ address: sockaddr_storage) -> [UInt8] {
        withUnsafeBytes(of: address) { raw in
            switch Int32(address.ss_family) {
            case AF_INET:
                let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 0
                return Self.mappedPrefix + raw[offset..<offset + 4]
            case AF_INET6:
                let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 0
                return Array(raw[offset..<offset + 16])
            default:
                return []
            }
        }
    }

    /// Whether the address is only reachable from this machine.
    static func isLoopback(_ address: [UInt8]) -> Bool {
        guard address.count == 16 else { return false }
        if address.starts(with: Self.mappedPrefix) { return address[12] == 127 }
        return address.dropLast().allSatisfy { $0 == 0 } && address[15] == 1
    }
}
