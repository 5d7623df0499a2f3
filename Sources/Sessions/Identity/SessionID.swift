/// The credential of a visitor: 22–64 characters of base64url (RFC 4648 §5), 128 random bits or more; or, where sessions
/// are taken over, an id that PHP made.
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

    /// Lengths of the ids that PHP's `session.sid_length` allows.
    package static let phpLengths = 22...256

    /// An id of PHP's, as its cookie has it: `A-Z a-z 0-9 - ,` with the comma as it stands or as `%2C`.
    package init?(phpCookie bytes: some Collection<UInt8>) {
        guard bytes.count <= Self.phpLengths.upperBound * 3 else { return nil }
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count)
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard rest.popFirst() == UInt8(ascii: "2"), let last = rest.popFirst(), last & 0xdf == UInt8(ascii: "C")
                else { return nil }
                text.append(UInt8(ascii: ","))
            } else {
                guard Self.isPHP(byte) else { return nil }
                text.append(byte)
            }
        }
        guard Self.phpLengths.contains(text.count) else { return nil }
        self.text = String(decoding: text, as: UTF8.self)
    }

    /// Whether PHP may have made it.
    package var mayBePHP: Bool { self.text.utf8.allSatisfy(Self.isPHP) }

    private static func isPHP(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || (byte != UInt8(ascii: "_") && Base64URL.contains(byte))
    }

    /// The value of the cookie, in which no comma may stand.
    package var cookieValue: String {
        self.text.utf8.contains(UInt8(ascii: ","))
            ? self.text.split(separator: ",", omittingEmptySubsequences: false)
                .joined(separator: "%2C") : self.text
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
