/// How many keys each server of a ring has.
package struct RingStatistics: Sendable {
    package struct Server: Sendable, Equatable {
        /// Keys whose first copy is there.
        package fileprivate(set) var first = 0
        /// Keys of which a copy is there, whichever.
        package fileprivate(set) var copies = 0
    }

    package private(set) var keys = 0
    package private(set) var copies = 0
    /// In the order of the list.
    package private(set) var servers: [Server]

    package init(serverCount: Int) {
        self.servers = Array(repeating: Server(), count: serverCount)
    }

    package mutating func add(_ set: ReplicaSet) {
        self.keys += 1
        self.copies += set.count
        if let first = set.first { self.servers[first].first += 1 }
        for server in set { self.servers[server].copies += 1 }
    }
}

/// Keys to measure a ring with: always the same ones, in the shape of PHP's session ids.
package struct RingSampleKeys: Sequence, IteratorProtocol, Sendable {
    private static let digits = Array("0123456789abcdef".utf8)

    private var left: Int
    private var random: UInt64 = 0

    package init(count: Int) {
        self.left = count
    }

    /// 32 hexadecimal digits.
    package mutating func next() -> [UInt8]? {
        guard self.left > 0 else { return nil }
        self.left -= 1
        var key = [UInt8]()
        key.reserveCapacity(32)
        for _ in 0..<2 {
            let word = self.nextWord()
            for shift in stride(from: 60, through: 0, by: -4) {
                key.append(Self.digits[Int(word >> UInt64(shift) & 15)])
            }
        }
        return key
    }

    /// SplitMix64.
    private mutating func nextWord() -> UInt64 {
        self.random &+= 0x9E37_79B9_7F4A_7C15
        var word = self.random
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}
