import Crypto

/// What every store key of a site begins with: `<prefix><site>:`.
package struct SessionKeyspace: Sendable, Hashable {
    /// Bytes that memcached takes for a key.
    package static let maximumKeyLength = 250

    package let bytes: [UInt8]

    /// - Returns: `nil` where a byte is no printable ASCII (memcached would take a blank for the end of the key), or where
    ///   keys would be longer than memcached takes.
    package init?(prefix: String, site: String) {
        let bytes = Array(prefix.utf8) + Array(site.utf8) + [UInt8(ascii: ":")]
        guard bytes.count + SessionKey.digestLength <= Self.maximumKeyLength,
            bytes.allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        self.bytes = bytes
    }

    package func key(for id: SessionID) -> SessionKey {
        SessionKey(id.text, in: self)
    }

    /// Where it is remembered that the session of this id was taken over from another store once. No id has it.
    package func adoptionMark(of id: SessionID) -> SessionKey {
        SessionKey("adopted:" + id.text, in: self)
    }

    /// The session of a stored item, as a walk finds it; nil where the item is not one of this keyspace.
    package func key(ofItem bytes: [UInt8]) -> SessionKey? {
        guard bytes.count == self.bytes.count + SessionKey.digestLength, bytes.starts(with: self.bytes) else {
            return nil
        }
        return SessionKey(item: bytes, digestStart: self.bytes.count)
    }
}

/// Where a session is kept: `<prefix><site>:<base64url(SHA-256(id))>`. Who can read the store's keys cannot tell the ids.
package struct SessionKey: Sendable, Hashable {
    /// Characters of a digest: 256 bits in base64url without padding.
    package static let digestLength = 43

    /// The whole key, printable ASCII, at most 250 bytes.
    package let bytes: [UInt8]
    /// The first eight bytes of the digest, the first the most significant.
    package let hash: UInt64

    fileprivate init(_ text: String, in keyspace: SessionKeyspace) {
        var sha = SHA256()
        var text = text
        text.withUTF8 { sha.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        let digest = sha.finalize()

        let length = keyspace.bytes.count + Self.digestLength
        var hash: UInt64 = 0
        self.bytes = digest.withUnsafeBytes { digest in
            for byte in digest[..<8] { hash = hash << 8 | UInt64(byte) }
            return [UInt8](unsafeUninitializedCapacity: length) { key, count in
                for (index, byte) in keyspace.bytes.enumerated() { key[index] = byte }
                var index = keyspace.bytes.count
                var offset = 0
                while offset < 30 {
                    let triple =
                        UInt64(digest[offset]) << 16 | UInt64(digest[offset + 1]) << 8 | UInt64(digest[offset + 2])
                    Base64URL.write(triple, bits: 24, into: key, at: index)
                    index += 4
                    offset += 3
                }
                // Two bytes are left: three characters, the last with two zero bits.
                Base64URL.write((UInt64(digest[30]) << 8 | UInt64(digest[31])) << 2, bits: 18, into: key, at: index)
                count = length
            }
        }
        self.hash = hash
    }

    /// - Returns: nil where a character of the digest is outside the alphabet.
    fileprivate init?(item bytes: [UInt8], digestStart: Int) {
        var hash: UInt64 = 0
        for (index, byte) in bytes[digestStart...].enumerated() {
            guard let sextet = Base64URL.sextet(byte) else { return nil }
            // Ten characters are 60 bits, and the upper four of the eleventh make 64.
            if index < 10 {
                hash = hash << 6 | sextet
            } else if index == 10 {
                hash = hash << 4 | sextet >> 2
            }
        }
        self.bytes = bytes
        self.hash = hash
    }

    /// What the keyspace begins all of its keys with.
    package var keyspaceBytes: [UInt8] { Array(self.bytes.dropLast(Self.digestLength)) }

    /// The key as text, for SQL and for operators. No credential: the id cannot be computed from it.
    package var text: String { String(decoding: self.bytes, as: UTF8.self) }
}
