/// SplitMix64: its whole state is its seed, so that a history can be told by one number.
struct Chance: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var word = self.state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    /// Less than `bound`, which is at least 1.
    mutating func below(_ bound: Int) -> Int {
        Int(((self.next() >> 32) &* UInt64(bound)) >> 32)
    }

    mutating func isLucky(percent: Int) -> Bool {
        percent > 0 && self.below(100) < percent
    }

    mutating func within(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + self.below(range.upperBound - range.lowerBound + 1)
    }

    mutating func one<Element>(of choices: [Element]) -> Element {
        choices[self.below(choices.count)]
    }
}
