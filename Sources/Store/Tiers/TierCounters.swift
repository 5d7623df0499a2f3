package import Sessions
import Synchronization

/// What happened between a site and its database, counted from all event loops.
package final class TierCounters: Sendable {
    private let counts = Mutex(TierCounts())

    package init() {}

    func add(_ path: WritableKeyPath<TierCounts, Int>, _ count: Int = 1) {
        self.counts.withLock { $0[keyPath: path] += count }
    }

    package var snapshot: TierCounts { self.counts.withLock { $0 } }
}
