/// What is promised of a session, by the letters of the guarantees.
package enum Promise: String, Sendable, CaseIterable {
    /// Of several saves from one base at most one is acknowledged.
    case oneSaveForEachBase = "a"
    /// What is read was written, under this session.
    case onlyWhatWasWrittenIsRead = "b"
    /// A load that begins after a save was acknowledged finds it, or what was made from it.
    case acknowledgedIsRead = "c"
    /// What was reported discarded is never read, nor anything that was made from it.
    case discardedIsNeverRead = "d"
    /// No load returns less than any load, or acknowledged save, that ended before it began; whoever made that.
    case readsAreNeverOlder = "f"
    /// After an acknowledged destroy, or a load that found nothing any more, nothing is read or saved.
    case nothingAfterTheEnd = "g"
    /// All that was acknowledged or read lies on one chain: e and h.
    case acknowledgedStaysInTheChain = "h"
    case expiredIsNeverRead = "expiry"
    /// What was acknowledged as durable, or was there for longer than the database is behind, outlives all memory.
    case durableIsKept = "durable"
    /// A session that has gone back says so.
    case goingBackIsSaid = "reverted"
    /// No row of a session that lives is taken away.
    case theLivingAreNotReaped = "reaped"
    case itGoesOnWhenFaultsStop = "alive"
}

package struct Violation: Sendable, CustomStringConvertible {
    package var promise: Promise
    /// Nil where it is of no session.
    package var session: HistoryChecker.SessionNumber?
    /// What the checker had been told by then, counted.
    package var moment: Int
    package var story: String

    package var description: String {
        "(\(self.promise.rawValue)) \(self.promise): session \(self.session.map { "\($0.index)" } ?? "-"): \(self.story)"
    }
}
