package import Memcached

/// What a verification found, or a repair left. A value: no I/O.
package struct VerificationReport: Sendable, Equatable {
    package struct Server: Sendable, Equatable {
        package enum Condition: String, Sendable {
            case complete
            /// Without the marker of its life: it has forgotten and not been given back what belongs there.
            case incomplete
            /// Not connected at some time, or its keys could not be listed.
            case unreachable
            /// Of a ring that is not in force yet, or no more.
            case outside
        }

        package var address: MemcachedAddress
        package var condition = Condition.complete
        /// Copies that it should have and has.
        package var present = 0
        package var missing = 0
        package var older = 0
        package var corrupt = 0
        /// Promises and superseded records where no copy belongs: harmless, they expire.
        package var leftover = 0
        /// Keys whose servers do not include this one.
        package var misplaced = 0

        package init(address: MemcachedAddress) {
            self.address = address
        }
    }

    /// The copies that each session should have.
    package let redundancy: Int
    package var servers: [Server]
    /// All sessions with a record, the destroyed ones included.
    package private(set) var sessions = 0
    package private(set) var complete = 0
    /// Sessions whose record is that they were destroyed.
    package private(set) var destroyed = 0
    package private(set) var short = 0
    package private(set) var halfWritten = 0
    package private(set) var unreadable = 0
    package private(set) var degraded = 0
    package private(set) var otherRing = 0
    /// Good copies enough, and a value beside them that does not decode.
    package private(set) var corruptBeside = 0
    package private(set) var undecided = 0
    /// In use throughout: different whenever it was read.
    package private(set) var changing = 0
    /// Found only on servers where no gateway looks for them.
    package private(set) var unreachable = 0

    package init(redundancy: Int, servers: [MemcachedAddress]) {
        self.redundancy = redundancy
        self.servers = servers.map { Server(address: $0) }
    }

    /// - Parameters:
    ///   - servers: those of the key, by position.
    ///   - isMisplaced: whether the key was found on another server than these.
    package mutating func add(_ comparison: CopyComparison, on servers: [Int], isMisplaced: Bool = false) {
        for (server, finding) in zip(servers, comparison.findings) {
            switch finding {
            case .present: self.servers[server].present += 1
            case .missing where comparison.session != .ending: self.servers[server].missing += 1
            case .older where comparison.session != .ending: self.servers[server].older += 1
            case .corrupt: self.servers[server].corrupt += 1
            case .leftover: self.servers[server].leftover += 1
            case .missing, .older, .none, .unknown: break
            }
        }
        switch comparison.session {
        case .none where comparison.flaws.isEmpty:
            // Leftovers, or what expired since it was listed; a promise is no record.
            if isMisplaced, !comparison.findings.contains(.unknown) {
                self.sessions += 1
                self.unreachable += 1
            }
            return
        case .none, .live, .ending: break
        case .destroyed: self.destroyed += 1
        }
        self.sessions += 1
        guard comparison.session != .ending, !comparison.flaws.isEmpty else {
            self.complete += 1
            return
        }
        let flaws = comparison.flaws
        if flaws.contains(.short) { self.short += 1 }
        if flaws.contains(.halfWritten) { self.halfWritten += 1 }
        if flaws.contains(.unreadable) { self.unreadable += 1 }
        if flaws.contains(.degraded) { self.degraded += 1 }
        if flaws.contains(.otherRing) { self.otherRing += 1 }
        if flaws.contains(.corrupt), flaws.isDisjoint(with: [.short, .unreadable]) { self.corruptBeside += 1 }
        if flaws.contains(.undecided) { self.undecided += 1 }
    }

    /// A session of which nothing can be said, as it is in use.
    package mutating func addChanging() {
        self.sessions += 1
        self.changing += 1
    }

    package var hasUnreachableServers: Bool { self.servers.contains { $0.condition == .unreachable } }

    /// Whether every session that could be judged has all of its copies, and every server may be counted on.
    package var isInOrder: Bool {
        self.complete + self.changing == self.sessions && self.servers.allSatisfy { $0.condition == .complete }
    }
}
