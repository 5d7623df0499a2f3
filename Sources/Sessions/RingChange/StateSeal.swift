import Crypto

/// A checksum behind a state's text: what a bad cable changed, or who does not know the site's secret wrote, says nothing.
package struct StateSeal: Sendable {
    private let hash: SipHash
    private static let mark = "sum "

    /// - Parameter secret: as of `RecordCodec`.
    package init(secret: some Collection<UInt8>) {
        self.hash = SHA256.hash(data: Array(secret)).withUnsafeBytes { digest in
            func word(_ offset: Int) -> UInt64 {
                UInt64(littleEndian: digest.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            return SipHash(key: (word(16), word(24)))
        }
    }

    package func sealed(_ state: PoolState<RingDescription>) -> String {
        let text = state.text
        return "\(text)\(Self.mark)\(self.sum(of: text))\n"
    }

    /// - Returns: nil where the text is not as it was sealed.
    package func opened(_ sealed: String) -> PoolState<RingDescription>? {
        let lines = sealed.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 2, lines.last == "", lines[lines.count - 2].hasPrefix(Self.mark) else { return nil }
        let text = lines.dropLast(2).joined(separator: "\n") + "\n"
        guard lines[lines.count - 2].dropFirst(Self.mark.count) == self.sum(of: text) else { return nil }
        return PoolState(text: text)
    }

    private func sum(of text: String) -> String {
        var hash = self.hash
        Array(text.utf8).withUnsafeBytes { hash.update($0) }
        return String(hash.finalize(), radix: 16)
    }
}
