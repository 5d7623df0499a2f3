/// The versions of the writes of one process. Time comes from outside, in microseconds.
package struct WriteIdentities: Sendable {
    private let writer: UInt64
    private var last: UInt64 = 0

    package init(writer: UInt64) {
        self.writer = writer
    }

    /// Its version is greater than the base's and any that was issued here, by two at least: the one in between is
    /// `SessionRow.maybeNewer`.
    package mutating func next(after version: UInt64?, at microseconds: UInt64) -> WriteIdentity {
        self.last = max(microseconds, (version ?? 0) &+ 2, self.last &+ 2)
        return WriteIdentity(version: self.last, writer: self.writer)
    }
}
