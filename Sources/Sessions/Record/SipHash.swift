/// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits, made for short messages. Whoever does not have the
/// key cannot tell what a changed message hashes to.
///
/// `Hasher` of the standard library has a key of its own in every process, and HMAC-SHA256 takes several times as long.
struct SipHash: Sendable {
    private var state: State
    /// The bytes behind the last whole word, the first the least significant.
    private var tail: UInt64 = 0
    private var count = 0

    /// - Parameter key: 16 bytes, as two words of which the first byte is the least significant.
    init(key: (UInt64, UInt64)) {
        self.state = State(key: key)
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // A copy stays in registers.
        var state = self.state
        let shift = UInt64(self.count & 7) * 8
        // Of whole words: no other bytes are read below.
        let end = bytes.count & ~7
        var index = 0
        if shift == 0 {
            while index < end {
                state.compress(Self.word(bytes, at: index))
                index &+= 8
            }
        } else {
            var tail = self.tail
            while index < end {
                let word = Self.word(bytes, at: index)
                state.compress(tail | word &<< shift)
                tail = word &>> (64 &- shift)
                index &+= 8
            }
            self.tail = tail
        }
        self.count += index
        while index < bytes.count {
            self.tail |= UInt64(bytes[index]) << (UInt64(self.count & 7) * 8)
            self.count += 1
            index += 1
            if self.count & 7 == 0 {
                state.compress(self.tail)
                self.tail = 0
            }
        }
        self.state = state
    }

    func finalize() -> UInt64 {
        var state = self.state
        state.compress(self.tail | UInt64(self.count) << 56)
        return state.finish()
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, at index: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
    }
}

extension SipHash {
    private struct State: Sendable {
        private var v0: UInt64
        private var v1: UInt64
        private var v2: UInt64
        private var v3: UInt64

        init(key: (UInt64, UInt64)) {
            self.v0 = key.0 ^ 0x736f_6d65_7073_6575
            self.v1 = key.1 ^ 0x646f_7261_6e64_6f6d
            self.v2 = key.0 ^ 0x6c79_6765_6e65_7261
            self.v3 = key.1 ^ 0x7465_6462_7974_6573
        }

        @inline(__always)
        mutating func compress(_ word: UInt64) {
            self.v3 ^= word
            self.round()
            self.round()
            self.v0 ^= word
        }

        mutating func finish() -> UInt64 {
            self.v2 ^= 0xff
            for _ in 0..<4 { self.round() }
            return self.v0 ^ self.v1 ^ self.v2 ^ self.v3
        }

        @inline(__always)
        private mutating func round() {
            self.v0 &+= self.v1
            self.v1 = Self.rotate(self.v1, by: 13) ^ self.v0
            self.v0 = Self.rotate(self.v0, by: 32)
            self.v2 &+= self.v3
            self.v3 = Self.rotate(self.v3, by: 16) ^ self.v2
            self.v0 &+= self.v3
            self.v3 = Self.rotate(self.v3, by: 21) ^ self.v0
            self.v2 &+= self.v1
            self.v1 = Self.rotate(self.v1, by: 17) ^ self.v2
            self.v2 = Self.rotate(self.v2, by: 32)
        }

        @inline(__always)
        private static func rotate(_ word: UInt64, by bits: UInt64) -> UInt64 {
            word &<< bits | word &>> (64 &- bits)
        }
    }
}
