/// A key that memcached takes on a command line: 1...250 bytes, none of them a space, a control character or DEL.
///
/// The check comes before any line is built: a server that refuses the line of an `ms` runs its data as commands.
/// Prints redacted: keys are made from session ids.
package struct MemcachedKey: Sendable, Hashable {
    static let maximumLength = 250

    package let bytes: [UInt8]

    /// Called for every operation on a session: no copy, and nothing generic.
    package init?(_ bytes: [UInt8]) {
        guard (1...Self.maximumLength).contains(bytes.count) else { return nil }
        guard bytes.withUnsafeBytes(Self.isValid) else { return nil }
        self.bytes = bytes
    }

    private static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        // Eight bytes at a time, and one by one where one of all may be wrong.
        let ones: UInt64 = 0x0101_0101_0101_0101
        var suspicion: UInt64 = 0
        var index = 0
        while index + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            // The highest bit of a byte gets set up to 0x20, at 0x7F, and above it.
            suspicion |= (word &- ones &* 0x21) | (word &+ ones) | word
            index += 8
        }
        let isChecked = suspicion & (ones &* 0x80) == 0
        return bytes[(isChecked ? index : 0)...].allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    package init?(_ bytes: some Collection<UInt8>) {
        self.init(Array(bytes))
    }

    package init?(_ text: some StringProtocol) {
        self.init(text.utf8)
    }
}

extension MemcachedKey: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { "MemcachedKey(redacted)" }
    package var debugDescription: String { self.description }
}
