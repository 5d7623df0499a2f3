import Synchronization

/// Counts things of several kinds, from all event loops.
package final class Counters<Counts: Sendable>: Sendable {
    private let counts: Mutex<Counts>

    package init(_ counts: Counts) {
        self.counts = Mutex(counts)
    }

    package func add(_ kind: WritableKeyPath<Counts, Int>, _ count: Int = 1) {
        self.counts.withLock { $0[keyPath: kind] += count }
    }

    package var snapshot: Counts { self.counts.withLock { $0 } }
}
