import Crypto

/// Makes the ids of a site. With secrets every id ends with a tag that only who has one of them can make: what somebody
/// made up is known without asking a store.
///
/// The first secret signs, all of them verify, so that they can be exchanged one after the other. The tag is 12 bytes of
/// the HMAC-SHA-256 of the random part, in base64url.
package struct SessionIDMint: Sendable {
    private let keys: [SymmetricKey]

    /// Characters of the random part and of the tag.
    private static let randomLength = 24
    private static let tagLength = 16

    /// - Parameter secrets: none: ids have no tags.
    package init(secrets: [String] = []) {
        self.keys = secrets.map { SymmetricKey(data: SHA256.hash(data: Array($0.utf8))) }
    }

    package func generate(using generator: inout some RandomNumberGenerator) -> SessionID {
        let random = SessionID.generate(using: &generator)
        guard let key = self.keys.first else { return random }
        return SessionID(bytes: Array(random.text.utf8) + Self.tag(Array(random.text.utf8), key)) ?? random
    }

    /// Whether the id may be one of this site's.
    package func admits(_ id: SessionID) -> Bool {
        if self.keys.isEmpty { return true }
        let bytes = Array(id.text.utf8)
        guard bytes.count == Self.randomLength + Self.tagLength else { return false }
        let random = Array(bytes.prefix(Self.randomLength))
        return self.keys.contains { key in
            // All of it is compared, however early it differs.
            zip(Self.tag(random, key), bytes.suffix(Self.tagLength)).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
        }
    }

    private static func tag(_ random: [UInt8], _ key: SymmetricKey) -> [UInt8] {
        let code = Array(HMAC<SHA256>.authenticationCode(for: random, using: key))
        return [UInt8](unsafeUninitializedCapacity: self.tagLength) { tag, count in
            for offset in stride(from: 0, to: 12, by: 3) {
                let triple = UInt64(code[offset]) << 16 | UInt64(code[offset + 1]) << 8 | UInt64(code[offset + 2])
                Base64URL.write(triple, bits: 24, into: tag, at: offset / 3 * 4)
            }
            count = self.tagLength
        }
    }
}
