/// The credential of a visitor: 22–64 characters of base64url (RFC 4648 §5), 128 random bits or more.
///
/// The only ways in are the failable initialisers and the generator. Prints redacted: it never appears in a log.
package struct SessionID: Sendable, Hashable {
    package static let lengths = 22...64

    package let text: String

    package init?(_ text: some StringProtocol) {
        guard Self.lengths.contains(text.utf8.count), text.utf8.allSatisfy(Base64URL.contains) else { return nil }
        self.text = String(text)
    }

    package init?(bytes: some Collection<UInt8>) {
        guard Self.lengths.contains(bytes.count), bytes.allSatisfy(Base64URL.contains) else { return nil }
        self.text = String(decoding: bytes, as: UTF8.self)
    }

    private init(unchecked text: String) {
        self.text = text
    }

    /// A new id: 144 bits of the generator as 24 characters.
    package static func generate(using generator: inout some RandomNumberGenerator) -> SessionID {
        let words = (generator.next() as UInt64, generator.next() as UInt64, generator.next() as UInt64)
        return SessionID(
            unchecked: String(unsafeUninitializedCapacity: 24) { text in
                // Eight characters carry 48 bits: the upper 48 of each word.
                Base64URL.write(words.0 >> 16, bits: 48, into: text, at: 0)
                Base64URL.write(words.1 >> 16, bits: 48, into: text, at: 8)
                Base64URL.write(words.2 >> 16, bits: 48, into: text, at: 16)
                return 24
            }
        )
    }
}

extension SessionID: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "SessionID(redacted)" }
    package var debugDescription: String { self.description }
    /// `dump` and a failed expectation print no more than `description` does.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
