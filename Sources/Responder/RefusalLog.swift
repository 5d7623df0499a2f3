import Logging
import Synchronization

/// Logs refusals, at most one line per reason and second: a hostile peer must not fill the disk.
final class RefusalLog: Sendable {
    private struct Entry {
        var loggedAt: ContinuousClock.Instant
        var unloggedCount = 0
    }

    private let logger: Logger
    private let entries = Mutex<[RefusalReason: Entry]>([:])

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// What a line that is due says: how many refusals for this reason went by without one.
    static let interval: Duration = .seconds(1)

    func refused(_ reason: RefusalReason, at now: ContinuousClock.Instant = .now) {
        let unlogged: Int? = self.entries.withLock { entries in
            guard let entry = entries[reason], now - entry.loggedAt < Self.interval else {
                return entries.updateValue(Entry(loggedAt: now), forKey: reason)?.unloggedCount ?? 0
            }
            entries[reason]?.unloggedCount += 1
            return nil
        }
        guard let unlogged else { return }
        self.logger.warning(
            "connection of the web server refused or cut",
            metadata: ["responder.reason": "\(reason.rawValue)", "responder.unlogged": "\(unlogged)"]
        )
    }
}
