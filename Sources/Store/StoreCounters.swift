package import Logging
import Memcached
import Synchronization

/// What happened to a site's sessions in memcached since the gateway started, over all event loops and reloads.
package final class StoreCounters: Sendable {
    package struct Snapshot: Sendable, Equatable {
        package var loads = 0
        package var saves = 0
        package var discards = 0
        package var degraded = 0
        package var unavailable = 0
        /// Copies that were damaged, or of a foreign format.
        package var corruptCopies = 0
        package var repairs = 0
        package var repairsDropped = 0
        /// Requests whose cookies name different sessions: they get none.
        package var conflictingCookies = 0
        /// Answers behind their response's head that were carried out.
        package var lateAnswers = 0
        /// Those that could not be read.
        package var lateAnswersRefused = 0
    }

    private let loads = Atomic<Int>(0)
    private let saves = Atomic<Int>(0)
    private let discards = Atomic<Int>(0)
    private let degraded = Atomic<Int>(0)
    private let unavailable = Atomic<Int>(0)
    private let corruptCopies = Atomic<Int>(0)
    private let repairs = Atomic<Int>(0)
    private let repairsDropped = Atomic<Int>(0)
    private let conflictingCookies = Atomic<Int>(0)
    private let lateAnswers = Atomic<Int>(0)
    private let lateAnswersRefused = Atomic<Int>(0)

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
    package func conflictingCookiesSeen() { self.conflictingCookies.wrappingAdd(1, ordering: .relaxed) }

    package func lateAnswerCame() { self.lateAnswers.wrappingAdd(1, ordering: .relaxed) }
    package func lateAnswerRefused() { self.lateAnswersRefused.wrappingAdd(1, ordering: .relaxed) }

    package var snapshot: Snapshot {
        Snapshot(
            loads: self.loads.load(ordering: .relaxed),
            saves: self.saves.load(ordering: .relaxed),
            discards: self.discards.load(ordering: .relaxed),
            degraded: self.degraded.load(ordering: .relaxed),
            unavailable: self.unavailable.load(ordering: .relaxed),
            corruptCopies: self.corruptCopies.load(ordering: .relaxed),
            repairs: self.repairs.load(ordering: .relaxed),
            repairsDropped: self.repairsDropped.load(ordering: .relaxed),
            conflictingCookies: self.conflictingCookies.load(ordering: .relaxed),
            lateAnswers: self.lateAnswers.load(ordering: .relaxed),
            lateAnswersRefused: self.lateAnswersRefused.load(ordering: .relaxed)
        )
    }

    /// Says once in each interval what went wrong in it, where anything did, until it is cancelled.
    package func report(_ logger: Logger, every interval: Duration = .seconds(60)) async {
        var last = self.snapshot
        while (try? await Task.sleep(for: interval)) != nil {
            let now = self.snapshot
            let troubles = now.troubles(since: last)
            last = now
            guard !troubles.isEmpty else { continue }
            logger.log(
                level: troubles["corrupt_copies"] == nil ? .info : .warning,
                "what went wrong with sessions in memcached lately",
                metadata: troubles.mapValues { "\($0)" }
            )
        }
    }
}

extension StoreCounters.Snapshot {
    /// What was counted since `earlier` and is no everyday matter; nothing where all went well.
    func troubles(since earlier: Self) -> [String: Int] {
        let all = [
            "discards": self.discards - earlier.discards,
            "degraded": self.degraded - earlier.degraded,
            "unavailable": self.unavailable - earlier.unavailable,
            "corrupt_copies": self.corruptCopies - earlier.corruptCopies,
            "repairs_dropped": self.repairsDropped - earlier.repairsDropped,
            "conflicting_cookies": self.conflictingCookies - earlier.conflictingCookies,
            "late_answers_refused": self.lateAnswersRefused - earlier.lateAnswersRefused,
        ]
        return all.filter { $0.value > 0 }
    }
}
