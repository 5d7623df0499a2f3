package import Logging
import Synchronization

/// What the last pass of this process's reaper did.
package final class ReaperFigures: Sendable {
    private let last = Mutex<(report: ReaperReport, end: ContinuousClock.Instant)?>(nil)

    package init() {}

    func passed(_ report: ReaperReport) {
        self.last.withLock { $0 = (report, .now) }
    }

    /// For the log; a gateway that has not led yet has nothing to say.
    package var metadata: Logger.Metadata {
        guard let last = self.last.withLock({ $0 }) else { return ["reaped_ago_s": "-"] }
        return [
            "reaped": "\(last.report.rows)", "reaped_expired": "\(last.report.expired)",
            "reaped_ago_s": "\((ContinuousClock.now - last.end).components.seconds)",
        ]
    }
}
