import Glibc

/// The system's generator (getentropy), asked for 256 bytes at a time: a request needs an id and a token, which would
/// be five system calls through `SystemRandomNumberGenerator`.
///
/// Every word is handed out once and wiped. Not shared: one per event loop.
package struct SystemRandom: RandomNumberGenerator, Sendable {
    private static let capacity = 32

    private var words: [UInt64]
    private var available = 0

    package init() {
        self.words = Array(repeating: 0, count: Self.capacity)
    }

    package mutating func next() -> UInt64 {
        if self.available == 0 { self.fill() }
        self.available -= 1
        let word = self.words[self.available]
        self.words[self.available] = 0
        return word
    }

    private mutating func fill() {
        let size = Self.capacity * MemoryLayout<UInt64>.size
        let result = self.words.withUnsafeMutableBytes { getentropy($0.baseAddress, size) }
        if result != 0 {
            // A kernel without the call: the library's generator knows what else to ask.
            var generator = SystemRandomNumberGenerator()
            for index in self.words.indices { self.words[index] = generator.next() }
        }
        self.available = Self.capacity
    }
}
