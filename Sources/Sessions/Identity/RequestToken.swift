/// What proves that an answer about the session comes from the backend of this very request: 128 random bits, behind
/// a byte that names the event loop which waits for the answer.
///
/// As text 23 characters of base64url. A credential: prints redacted, is compared in constant time.
package struct RequestToken: Sendable {
    /// Characters of every token's text.
    package static let textLength = 23

    /// The event loop that the request runs on, for whoever gets the token's text in a late answer.
    package let loop: UInt8
    private let high: UInt64
    private let low: UInt64

    package init(loop: UInt8, using generator: inout some RandomNumberGenerator) {
        self.loop = loop
        self.high = generator.next()
        self.low = generator.next()
    }

    /// Parses a token's text; only the canonical spelling is taken.
    package init?(_ text: some Collection<UInt8>) {
        guard text.count == Self.textLength else { return nil }
        // 23 characters are 138 bits: 8 of the loop, 128 of the token, 2 that are zero.
        var high: UInt64 = 0
        var low: UInt64 = 0
        var top: UInt64 = 0
        for byte in text {
            guard let sextet = Base64URL.sextet(byte) else { return nil }
            top = top << 6 | high >> 58
            high = high << 6 | low >> 58
            low = low << 6 | sextet
        }
        guard low & 0b11 == 0 else { return nil }
        self.low = low >> 2 | high << 62
        self.high = high >> 2 | top << 62
        self.loop = UInt8(truncatingIfNeeded: top >> 2)
    }

    package var text: String {
        String(unsafeUninitializedCapacity: Self.textLength) { text in
            self.write(into: text)
            return Self.textLength
        }
    }

    /// Writes the text.
    /// - Parameter target: of at least `textLength` bytes.
    package func write(to target: UnsafeMutableRawBufferPointer) {
        self.write(into: UnsafeMutableBufferPointer(rebasing: target.bindMemory(to: UInt8.self)[..<Self.textLength]))
    }

    private func write(into text: UnsafeMutableBufferPointer<UInt8>) {
        // 138 bits in three runs of 48, 48 and 42.
        let first = UInt64(self.loop) << 40 | self.high >> 24
        let second = (self.high & 0xff_ffff) << 24 | self.low >> 40
        let third = (self.low & 0xff_ffff_ffff) << 2
        Base64URL.write(first, bits: 48, into: text, at: 0)
        Base64URL.write(second, bits: 48, into: text, at: 8)
        Base64URL.write(third, bits: 42, into: text, at: 16)
    }

    /// Whether the bytes are this token's text. The time it takes does not tell how much of them is right.
    package func matches(_ text: some Collection<UInt8>) -> Bool {
        RequestToken(text) == self
    }
}

extension RequestToken: Hashable {
    /// Looks at every bit, whatever the first ones say.
    package static func == (left: RequestToken, right: RequestToken) -> Bool {
        UInt64(left.loop ^ right.loop) | (left.high ^ right.high) | (left.low ^ right.low) == 0
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.high)
        hasher.combine(self.low)
    }
}

extension RequestToken: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "RequestToken(redacted)" }
    package var debugDescription: String { self.description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
