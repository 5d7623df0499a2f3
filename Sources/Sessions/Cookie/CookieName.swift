/// A cookie's name: a token of RFC 9110 §5.6.2, at most 256 bytes.
package struct CookieName: Sendable, Hashable {
    package static let maximumLength = 256

    package let text: String

    package init?(_ text: String) {
        guard (1...Self.maximumLength).contains(text.utf8.count), text.utf8.allSatisfy(Self.isTokenByte) else {
            return nil
        }
        self.text = text
    }

    private init(trusted text: String) {
        self.text = text
    }

    static let plain = CookieName(trusted: "session")
    static let secure = CookieName(trusted: "__Secure-session")
    static let host = CookieName(trusted: "__Host-session")

    /// Browsers take the cookie only with `Secure`. They compare the prefix without regard to case
    /// (RFC 6265bis §5.7, draft 22).
    package var requiresSecure: Bool {
        self.hasPrefix("__secure-") || self.hasPrefix("__http-") || self.requiresHost
    }

    /// Browsers take the cookie only with `Path=/` and without `Domain`.
    package var requiresHost: Bool { self.hasPrefix("__host-") }

    /// Browsers take the cookie only with `HttpOnly` (Chromium since 140).
    package var requiresHTTPOnly: Bool { self.hasPrefix("__http-") || self.hasPrefix("__host-http-") }

    private func hasPrefix(_ lowercase: StaticString) -> Bool {
        var bytes = self.text.utf8.makeIterator()
        return lowercase.withUTF8Buffer { prefix in
            prefix.allSatisfy { expected in bytes.next().map { $0.lowercasedASCII == expected } ?? false }
        }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^")...UInt8(ascii: "`"), UInt8(ascii: "|"),
            UInt8(ascii: "~"):
            true
        default:
            false
        }
    }
}

extension UInt8 {
    var lowercasedASCII: UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
    }
}
