/// What one request was for, and what the visitor was shown. Times are nanoseconds of one clock.
package struct Visit: Sendable, Equatable {
    package enum Purpose: Sendable, Equatable {
        case read
        case write
        /// Writes under a new id.
        case signIn
        case signOut
    }

    /// What the gateway says became of the session (`Session-Outcome`); `none` where it has said nothing.
    package enum Outcome: String, Sendable {
        case none = ""
        case loaded, new, saved, unchanged, discarded, destroyed, moved, bypassed, pending, degraded, reverted, unknown
        case unavailable
    }

    package var purpose: Purpose
    /// The session whose cookie was sent.
    package var session: Int?
    /// The session whose cookie came back.
    package var newSession: Int?
    /// Names what the page was told to write.
    package var write: Int?
    package var began: Int64
    package var ended: Int64
    /// 0 where no answer came.
    package var status = 0
    package var outcome = Outcome.none
    /// Whether the page has run to its end.
    package var hasPage = false
    /// What the page found in the session.
    package var found = Lineage()
    /// Whether what the page found is no session that a page has written.
    package var isGarbled = false
    /// Whether the page took its time on purpose.
    package var isSlow = false

    package init(_ purpose: Purpose, session: Int?, began: Int64, ended: Int64) {
        self.purpose = purpose
        self.session = session
        self.began = began
        self.ended = ended
    }

    package var milliseconds: Double { Double(self.ended - self.began) / 1e6 }

    /// Whether what it found is promised to be the session.
    var isPromised: Bool {
        self.hasPage && self.status == 200 && self.outcome != .degraded && self.outcome != .unavailable
    }

    var isAcknowledged: Bool {
        self.status == 200 && [.saved, .new, .moved].contains(self.outcome)
    }
}

/// The writes that a session comes from, the newest first; the pages keep the last twelve.
package struct Lineage: Sendable, Equatable {
    /// How many writes there have been.
    package var count = 0
    package var writes: [Int] = []

    package init() {}

    /// As the pages write it: the count and the numbers, one space between two.
    /// - Returns: nil for what is no such text; an empty one for the empty text.
    package init?(_ text: some StringProtocol) {
        guard !text.isEmpty else { return }
        let numbers = text.split(separator: " ", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count >= 2, !numbers.contains(nil) else { return nil }
        self.count = numbers[0] ?? 0
        self.writes = numbers.dropFirst().compactMap(\.self)
        guard self.count >= self.writes.count else { return nil }
    }

    package var isEmpty: Bool { self.writes.isEmpty }

    /// Whether the first write of the session is among them.
    var isWhole: Bool { self.count == self.writes.count }
}
