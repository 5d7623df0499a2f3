import Memcached
import Synchronization

/// What happened in a site's store since the gateway started, over all event loops.
package final class StoreCounters: Sendable {
    package struct Snapshot: Sendable, Equatable {
        package var loads = 0
        package var saves = 0
        package var discards = 0
        package var degraded = 0
        package var unavailable = 0
        package var corruptCopies = 0
        package var repairs = 0
        package var repairsDropped = 0
    }

    private let loads = Atomic<Int>(0)
    private let saves = Atomic<Int>(0)
    private let discards = Atomic<Int>(0)
    private let degraded = Atomic<Int>(0)
    private let unavailable = Atomic<Int>(0)
    private let corruptCopies = Atomic<Int>(0)
    private let repairs = Atomic<Int>(0)
    private let repairsDropped = Atomic<Int>(0)

    /// What was logged of the servers, so that one event loop does not repeat what another has told.
    let transitions = ServerTransitionLog()

    package init() {}

    func loadStarted() { self.loads.wrappingAdd(1, ordering: .relaxed) }
    func saveAcknowledged() { self.saves.wrappingAdd(1, ordering: .relaxed) }
    func saveDiscarded() { self.discards.wrappingAdd(1, ordering: .relaxed) }
    func servedDegraded() { self.degraded.wrappingAdd(1, ordering: .relaxed) }
    func notAvailable() { self.unavailable.wrappingAdd(1, ordering: .relaxed) }
    func corruptCopySeen() { self.corruptCopies.wrappingAdd(1, ordering: .relaxed) }
    func repaired() { self.repairs.wrappingAdd(1, ordering: .relaxed) }
    func repairDropped() { self.repairsDropped.wrappingAdd(1, ordering: .relaxed) }

    package var snapshot: Snapshot {
        Snapshot(
            loads: self.loads.load(ordering: .relaxed),
            saves: self.saves.load(ordering: .relaxed),
            discards: self.discards.load(ordering: .relaxed),
            degraded: self.degraded.load(ordering: .relaxed),
            unavailable: self.unavailable.load(ordering: .relaxed),
            corruptCopies: self.corruptCopies.load(ordering: .relaxed),
            repairs: self.repairs.load(ordering: .relaxed),
            repairsDropped: self.repairsDropped.load(ordering: .relaxed)
        )
    }
}
