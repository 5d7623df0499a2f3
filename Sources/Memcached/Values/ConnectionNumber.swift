import Synchronization

/// Names one connection: unique in this process, never used again.
///
/// A token, and equally a seen absence, is good only on the connection that saw it: a restarted server counts its
/// tokens from 1 again.
package struct ConnectionNumber: Sendable, Hashable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    private static let last = Atomic<UInt64>(0)

    package static func next() -> ConnectionNumber {
        ConnectionNumber(rawValue: self.last.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}

extension ConnectionNumber: CustomStringConvertible {
    package var description: String { "\(self.rawValue)" }
}
