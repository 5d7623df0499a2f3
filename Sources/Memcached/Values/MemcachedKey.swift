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
        for byte in bytes where byte <= 0x20 || byte == 0x7F { return nil }
        self.bytes = bytes
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
