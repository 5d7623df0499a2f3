package import Memcached

/// What a repair did. A value: no I/O.
package struct RepairReport: Sendable, Equatable {
    package struct Server: Sendable, Equatable {
        package enum Condition: String, Sendable {
            case complete
            /// It was incomplete, has been given back what belongs there, and is complete again.
            case refilled
            /// It was incomplete and nobody was left who knew what it had: taken as it is.
            case accepted
            /// Still incomplete: another server is missing that may know what it had, it went away meanwhile, or sessions
            /// could not be chosen anew.
            case incomplete
            case unreachable
            /// Of a ring that is not in force yet, or no more.
            case outside
        }

        package var address: MemcachedAddress
        package var condition: Condition
    }

    package var servers: [Server]
    /// Sessions of which nothing was to be done.
    package var inOrder = 0
    /// Sessions whose record was chosen anew, on as many servers as it should be.
    package var repaired = 0
    /// Sessions whose record could not be chosen anew: too few servers answered.
    package var failed = 0
    /// Sessions of which no copy decodes: nothing is left to be chosen.
    package var unreadable = 0
    /// Server lists that could not be had.
    package var unlisted = 0

    package init(servers: [MemcachedAddress]) {
        self.servers = servers.map { Server(address: $0, condition: .complete) }
    }

    /// One more walk over the same sessions.
    package mutating func add(_ walk: RepairReport) {
        self.failed = walk.failed
        self.unreadable = walk.unreadable
        self.unlisted = walk.unlisted
        // What was written anew in an earlier walk is in order in this one.
        self.repaired = min(self.repaired + walk.repaired, walk.readable)
        self.inOrder = walk.readable - self.repaired
    }

    package var sessions: Int { self.inOrder + self.repaired + self.failed + self.unreadable }
    private var readable: Int { self.inOrder + self.repaired }

    package var hasUnreachableServers: Bool {
        self.unlisted > 0 || self.servers.contains { $0.condition == .unreachable }
    }

    package var isInOrder: Bool {
        self.failed + self.unreadable == 0 && !self.servers.contains { $0.condition == .incomplete }
    }
}
