/// SplitMix64: a small generator whose whole state is its seed, so that a history can be told by one number.
package struct SplitMix: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        self.state = seed
    }

    package mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var word = self.state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    package mutating func below(_ bound: Int) -> Int {
        bound <= 1 ? 0 : Int(self.next() % UInt64(bound))
    }

    package mutating func isLucky(percent: Int) -> Bool {
        self.below(100) < percent
    }
}
