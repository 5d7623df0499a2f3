@testable import Sessions

/// What clients did to one session and what they were told, with the moments of beginning and end: what the promises of
/// `guarantees.md` §2 are checked against. Knows nothing of servers and ballots.
struct SessionHistory: Sendable {
    enum Verdict: Sendable {
        case acknowledged
        case discarded
        /// Also of what has not ended, failed, or was degraded.
        case unknown
    }

    struct Write: Sendable {
        var identity: WriteIdentity
        /// Nil where it created the session.
        var base: WriteIdentity?
        var began: Int
        var ended: Int = .max
        var verdict: Verdict = .unknown
    }

    struct Read: Sendable {
        var began: Int
        var ended: Int
        /// Nil where there was no session.
        var identity: WriteIdentity?
        /// Whether the payload is the one that was written under this identity.
        var isIntact = true
    }

    struct Destruction: Sendable {
        var began: Int
        var ended: Int = .max
        var isAcknowledged = false
    }

    enum Promise: String, Sendable {
        case oneSaveForEachBase = "a"
        case onlyWhatWasWrittenIsRead = "b"
        case acknowledgedSavesAreRead = "c"
        case discardedSavesAreNeverRead = "d"
        case nobodyGoesBack = "f"
        case nothingIsReadAfterTheEnd = "g"
        case acknowledgedSavesStayInTheChain = "h"
        case itGoesOnWhenFaultsStop = "alive"
    }

    struct Violation: Sendable, CustomStringConvertible {
        var promise: Promise
        var story: String
        var description: String { "\(self.promise) (\(self.promise.rawValue)): \(self.story)" }
    }

    var writes: [Write] = []
    var reads: [Read] = []
    var destructions: [Destruction] = []

    /// - Parameter last: the record that is chosen at the end, were it a tombstone; nil where that is not known.
    func violations(last: SessionRecord?) -> [Violation] {
        let descent = Descent(self.writes)
        return self.doubleBases() + self.unknownReads(descent) + self.readsAgainstWrites(descent)
            + self.readsAgainstReads(descent) + self.revivals() + (last.map { self.missing(from: $0, descent) } ?? [])
    }

    private struct Descent {
        private var bases: [WriteIdentity: WriteIdentity?] = [:]

        init(_ writes: [Write]) {
            for write in writes {
                self.bases[write.identity] = .some(write.base)
            }
        }

        func knows(_ identity: WriteIdentity) -> Bool { self.bases[identity] != nil }

        func line(of identity: WriteIdentity) -> [WriteIdentity] {
            var line = [identity]
            while let last = line.last, let base = self.bases[last] ?? nil {
                line.append(base)
            }
            return line
        }

        func isSame(_ identity: WriteIdentity, orFollows ancestor: WriteIdentity) -> Bool {
            self.line(of: identity).contains(ancestor)
        }
    }

    private var acknowledged: [Write] { self.writes.filter { $0.verdict == .acknowledged } }

    private func doubleBases() -> [Violation] {
        var seen: Set<WriteIdentity?> = []
        return self.acknowledged.filter { !seen.insert($0.base).inserted }
            .map { Violation(promise: .oneSaveForEachBase, story: "\($0)") }
    }

    private func unknownReads(_ descent: Descent) -> [Violation] {
        self.reads.compactMap { read in
            guard let identity = read.identity else { return nil }
            if !read.isIntact || !descent.knows(identity) {
                return Violation(promise: .onlyWhatWasWrittenIsRead, story: "\(read)")
            }
            if let write = self.writes.first(where: { $0.identity == identity }), write.verdict == .discarded {
                return Violation(promise: .discardedSavesAreNeverRead, story: "\(write) by \(read)")
            }
            return nil
        }
    }

    private func mayBeDestroyed(before moment: Int) -> Bool {
        self.destructions.contains { $0.began < moment }
    }

    private func readsAgainstWrites(_ descent: Descent) -> [Violation] {
        self.acknowledged.flatMap { write in
            self.reads.compactMap { read in
                guard read.began > write.ended else { return nil }
                let isFine =
                    read.identity.map { descent.isSame($0, orFollows: write.identity) }
                    ?? self.mayBeDestroyed(before: read.ended)
                return isFine ? nil : Violation(promise: .acknowledgedSavesAreRead, story: "\(write), then \(read)")
            }
        }
    }

    private func readsAgainstReads(_ descent: Descent) -> [Violation] {
        let ends = self.reads.filter { read in
            guard read.identity == nil else { return false }
            return self.acknowledged.contains { $0.ended < read.began }
                || self.reads.contains { $0.identity != nil && $0.ended < read.began }
        }
        return self.reads.flatMap { later in
            self.reads.compactMap { earlier -> Violation? in
                guard earlier.ended < later.began else { return nil }
                let isFine: Bool
                switch (earlier.identity, later.identity) {
                case (let before?, let after?):
                    isFine = descent.isSame(after, orFollows: before)
                case (_?, nil):
                    isFine = self.mayBeDestroyed(before: later.ended)
                case (nil, _?):
                    isFine = !ends.contains { $0.ended == earlier.ended }
                case (nil, nil):
                    isFine = true
                }
                return isFine ? nil : Violation(promise: .nobodyGoesBack, story: "\(earlier), then \(later)")
            }
        }
    }

    private func revivals() -> [Violation] {
        self.destructions.filter(\.isAcknowledged).flatMap { destruction in
            self.reads.filter { $0.identity != nil && $0.began > destruction.ended }
                .map { Violation(promise: .nothingIsReadAfterTheEnd, story: "\(destruction), then \($0)") }
                + self.acknowledged.filter { $0.began > destruction.ended }
                .map { Violation(promise: .nothingIsReadAfterTheEnd, story: "\(destruction), then \($0)") }
        }
    }

    private func missing(from last: SessionRecord, _ descent: Descent) -> [Violation] {
        // A tombstone is no client's write: its own ancestors tell where it stands.
        let newest = last.isTombstone ? last.base : last.identity
        let chain = newest.map { descent.line(of: $0) } ?? []
        let lost = self.acknowledged.filter { !chain.contains($0.identity) }.map { "\($0)" }
        let unread = self.reads.filter { read in read.identity.map { !chain.contains($0) } ?? false }.map { "\($0)" }
        let revived = self.writes.filter { $0.verdict == .discarded && chain.contains($0.identity) }
        return (lost + unread).map { Violation(promise: .acknowledgedSavesStayInTheChain, story: $0) }
            + revived.map { Violation(promise: .discardedSavesAreNeverRead, story: "\($0) in the chain") }
    }
}
