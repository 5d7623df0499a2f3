import Synchronization

/// What became of one session, as its visitors have seen it, and whether that keeps the gateway's promises
/// (`docs` of the guarantees: rules a to h for sessions with discard). Linear in the number of visits.
///
/// What was answered `degraded` carries no promise: such a write counts as one whose fate is unknown, such a read for
/// nothing.
struct VisitHistory: Sendable {
    private(set) var visits: [Visit] = []

    mutating func add(_ visit: Visit) { self.visits.append(visit) }

    var acknowledged: Int { self.visits.count { $0.isAcknowledged } }

    /// - Returns: the promises that were broken, in words.
    func violations() -> [String] {
        var violations: [String] = []
        var written: [String: Visit] = [:]
        var parents: [String: String] = [:]
        for visit in self.visits {
            if let nonce = visit.nonce { written[nonce] = visit }
            if let seen = visit.seen { parents[seen.nonce] = seen.base }
        }
        for visit in self.visits where visit.isAcknowledged {
            if let nonce = visit.nonce, parents[nonce] == nil { parents[nonce] = visit.seen?.nonce ?? "-" }
        }

        // a: one acknowledged write per base.
        var heirs: [String: String] = [:]
        for visit in self.visits where visit.isAcknowledged {
            guard let nonce = visit.nonce else { continue }
            let base = visit.seen?.nonce ?? "-"
            if let other = heirs[base] { violations.append("two saves on \(base): \(other) and \(nonce)") }
            heirs[base] = nonce
        }
        // b, d: what is read was written, and was not reported discarded.
        for visit in self.visits {
            guard let seen = visit.seen else { continue }
            guard let write = written[seen.nonce] else {
                violations.append("\(seen.nonce) was read and never written")
                continue
            }
            if write.outcome == "discarded" { violations.append("the discarded \(seen.nonce) was read") }
            if write.start > visit.end { violations.append("\(seen.nonce) was read before it was written") }
        }
        // c, f: a read that starts after a save or a read has ended sees that, or what was made from it.
        // What nobody has seen the base of, as its writer got no answer, hides what was before.
        func lineage(_ nonce: String) -> (writes: Set<String>, isWhole: Bool) {
            var all: Set<String> = []
            var next: String? = nonce
            while let nonce = next, nonce != "-", all.insert(nonce).inserted { next = parents[nonce] }
            return (all, next == "-")
        }
        let known = self.visits.compactMap { visit -> (end: ContinuousClock.Instant, nonce: String)? in
            if visit.isAcknowledged, let nonce = visit.nonce { return (visit.end, nonce) }
            if visit.isPromised, let seen = visit.seen { return (visit.end, seen.nonce) }
            return nil
        }.sorted { $0.end < $1.end }
        for visit in self.visits where visit.isPromised {
            let before = known.prefix { $0.end < visit.start }.map(\.nonce)
            guard let seen = visit.seen else {
                if let last = before.last { violations.append("nothing was read after \(last)") }
                continue
            }
            let line = lineage(seen.nonce)
            if line.isWhole, let lost = before.last(where: { !line.writes.contains($0) }) {
                violations.append("\(seen.nonce) (\(seen.count)) was read after \(lost), which it does not come from")
            }
        }
        // h: the count is the number of writes in the chain.
        for visit in self.visits {
            guard let seen = visit.seen else { continue }
            let line = lineage(seen.nonce)
            if line.isWhole, line.writes.count != seen.count {
                violations.append("\(seen.nonce) counts \(seen.count) of \(line.writes.count) writes")
            }
        }
        return violations
    }
}

extension Visit {
    /// Whether the write was acknowledged for good.
    var isAcknowledged: Bool { self.nonce != nil && (self.outcome == "saved" || self.outcome == "new") }

    /// Whether the page was reached, with what is promised to be the newest session. What became of a change
    /// (`discarded`, `unknown`) hides whether the session was read from too few servers.
    var isPromised: Bool {
        self.status == 200 && !["degraded", "unavailable", "discarded", "unknown"].contains(self.outcome)
    }
}

/// A history that several visitors write to.
final class SharedHistory: Sendable {
    private let history = Mutex(VisitHistory())

    func add(_ visit: Visit) { self.history.withLock { $0.add(visit) } }

    var value: VisitHistory { self.history.withLock { $0 } }
}
