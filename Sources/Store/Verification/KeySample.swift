package import Sessions

/// Some of many keys, each with the same chance, whose number is not known beforehand. A value: no I/O.
package struct KeySample: Sendable {
    package private(set) var keys: [SessionKey] = []
    private let count: Int
    private var seen = 0

    package init(count: Int) {
        self.count = max(count, 0)
    }

    package mutating func add(_ key: SessionKey, using random: inout some RandomNumberGenerator) {
        self.seen += 1
        if self.keys.count < self.count {
            self.keys.append(key)
        } else if self.count > 0 {
            let place = Int.random(in: 0..<self.seen, using: &random)
            if place < self.count { self.keys[place] = key }
        }
    }
}
