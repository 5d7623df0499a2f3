/// Which write a record is: made once, by one gateway process, and never used to order two copies.
///
/// The version is max(µs since 1970, base + 1, last version this process issued + 1); the writer is random per process.
package struct WriteIdentity: Sendable, Hashable {
    package var version: UInt64
    package var writer: UInt64

    package init(version: UInt64, writer: UInt64) {
        self.version = version
        self.writer = writer
    }

    /// Of a copy that holds no record.
    package static let none = WriteIdentity(version: 0, writer: 0)
}
