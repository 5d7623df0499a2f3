import Sessions

/// What kind of pool, and what kinds of trouble. How much of each is told by the seed.
package struct SimulationProfile: Sendable {
    package var name: String
    /// r: copies of each session.
    package var redundancy: Int
    /// Servers in the pool; a session has the first 2r − 1 of some order, or all where there are fewer.
    package var servers: Int
    package var isDegradedServed = false
    /// How many servers may be without memory at a time. r − 1, or some sessions lose what was promised.
    package var maximumForgetful: Int
    /// Messages are lost, late, or done twice.
    package var hasBadNetwork = true
    /// Restarts follow each other closely, and no operation may acknowledge anything for long.
    package var isRestartHeavy = false
    /// Only one server has trouble at a time: of the kind that a visitor must not see.
    package var hasSingleFaults = false
    /// Copies are evicted, values damaged, markers lost.
    package var hasLostItems = false
    /// Hours pass, and servers' clocks jump.
    package var hasLongTimes = false
    /// A database behind the servers: all of them may lose their memory at once.
    package var hasDatabase = false
    /// All servers lose their memory at once, and some of the gateways theirs, again and again; nothing else fails.
    package var hasOnlyTotalLosses = false
    /// Gateways are cut off from all servers, and half of them die of it; no server fails.
    package var hasOnlyIsolations = false
    /// The servers, by number, that take the place of the first `servers`.
    package var nextServers: [Int]?
    /// Those of them that are to hold nothing then.
    package var drainedServers: Set<Int> = []

    package init(_ name: String, redundancy: Int, servers: Int) {
        self.name = name
        self.redundancy = redundancy
        self.servers = servers
        self.maximumForgetful = redundancy - 1
    }

    private func with(_ change: (inout SimulationProfile) -> Void) -> SimulationProfile {
        var profile = self
        change(&profile)
        return profile
    }

    /// One after another, by seed.
    package static let all: [SimulationProfile] = Self.constantRings + Self.ringChanges + Self.databases

    private static let constantRings: [SimulationProfile] = [
        SimulationProfile("2 of 3", redundancy: 2, servers: 3),
        SimulationProfile("2 of 3, restarts", redundancy: 2, servers: 3).with { $0.isRestartHeavy = true },
        SimulationProfile("3 of 5", redundancy: 3, servers: 5),
        SimulationProfile("2 of 3, degraded served", redundancy: 2, servers: 3).with { $0.isDegradedServed = true },
        SimulationProfile("2 of 2", redundancy: 2, servers: 2),
        SimulationProfile("2 of 3, single faults", redundancy: 2, servers: 3).with {
            $0.hasSingleFaults = true
            $0.hasBadNetwork = false
        },
        SimulationProfile("2 of 3 in a pool of 5", redundancy: 2, servers: 5).with { $0.isRestartHeavy = true },
        SimulationProfile("2 of 3, lost items", redundancy: 2, servers: 3).with { $0.hasLostItems = true },
        SimulationProfile("3 of 4", redundancy: 3, servers: 4),
        SimulationProfile("2 of 3, long times", redundancy: 2, servers: 3).with { $0.hasLongTimes = true },
        SimulationProfile("2 of 2, degraded served", redundancy: 2, servers: 2).with { $0.isDegradedServed = true },
        SimulationProfile("3 of 5, restarts", redundancy: 3, servers: 5).with { $0.isRestartHeavy = true },
        SimulationProfile("1 of 1", redundancy: 1, servers: 3).with { $0.isDegradedServed = true },
        SimulationProfile("3 of 5, lost items", redundancy: 3, servers: 5).with { $0.hasLostItems = true },
        SimulationProfile("2 of 3 in a pool of 5, beyond the promise", redundancy: 2, servers: 5).with {
            $0.isRestartHeavy = true
            $0.maximumForgetful = 4
        },
        SimulationProfile("3 of 3", redundancy: 3, servers: 3),
        SimulationProfile("3 of 5, long times", redundancy: 3, servers: 5).with { $0.hasLongTimes = true },
        SimulationProfile("3 of 5 in a pool of 7", redundancy: 3, servers: 7).with { $0.isRestartHeavy = true },
    ]

    /// With a database, under all faults, among them that all servers restart at once and that the database is away.
    package static let databases: [SimulationProfile] = [
        SimulationProfile("2 of 3 and a database", redundancy: 2, servers: 3).with { $0.beforeDatabase() },
        SimulationProfile("1 of 1 and a database", redundancy: 1, servers: 3).with { $0.beforeDatabase() },
        SimulationProfile("2 of 3 and a database, degraded served", redundancy: 2, servers: 3).with {
            $0.beforeDatabase()
            $0.isDegradedServed = true
        },
        SimulationProfile("2 of 3 and a database, only losses", redundancy: 2, servers: 3).with {
            $0.beforeDatabase()
            $0.hasBadNetwork = false
            $0.isRestartHeavy = true
            $0.isDegradedServed = true
            $0.hasOnlyTotalLosses = true
        },
        SimulationProfile("2 of 3 and a database, only gateways", redundancy: 2, servers: 3).with {
            $0.hasDatabase = true
            $0.hasBadNetwork = false
            $0.hasOnlyIsolations = true
        },
        SimulationProfile("2 of 3 and a database, long times", redundancy: 2, servers: 3).with {
            $0.hasDatabase = true
            $0.hasLongTimes = true
        },
    ]

    private mutating func beforeDatabase() {
        self.hasDatabase = true
        self.maximumForgetful = self.servers
    }

    /// Changes of the ring, under all faults.
    package static let ringChanges: [SimulationProfile] = [
        SimulationProfile("2 of 3, a server added", redundancy: 2, servers: 3).with { $0.nextServers = [0, 1, 2, 3] },
        SimulationProfile("2 of 3, a server removed", redundancy: 2, servers: 4).with { $0.nextServers = [0, 1, 3] },
        SimulationProfile("2 of 3, a server replaced", redundancy: 2, servers: 3).with { $0.nextServers = [0, 3, 2] },
        SimulationProfile("2 of 3, two servers added", redundancy: 2, servers: 3).with {
            $0.nextServers = [0, 1, 2, 3, 4]
        },
        SimulationProfile("3 of 5, a server replaced", redundancy: 3, servers: 5).with {
            $0.nextServers = [0, 1, 2, 3, 5]
        },
        SimulationProfile("2 of 3, all servers replaced", redundancy: 2, servers: 3).with {
            $0.nextServers = [3, 4, 5]
        },
        SimulationProfile("2 of 3, a server drained", redundancy: 2, servers: 3).with {
            $0.nextServers = [0, 1, 2]
            $0.drainedServers = [1]
        },
        SimulationProfile("3 of 5, two servers drained", redundancy: 3, servers: 5).with {
            $0.nextServers = [0, 1, 2, 3, 4]
            $0.drainedServers = [0, 3]
        },
    ]
}

/// How much of everything there is in one history, all told by its seed. Times in microseconds.
struct Weather {
    /// Of what is sent, per direction.
    var lossPercent = 0
    var slowPercent = 0
    var doublePercent = 0
    /// Between two faults, on average.
    var faultInterval = 20_000
    /// Between two requests of one visitor, on average.
    var pause: Int
    var visitors: Int
    var gateways: Int
    var operations: Int

    // The configuration of the gateways.
    var operationTimeout = 20_000
    var loadTimeout: Int
    /// D: what is older acknowledges nothing.
    var longestOperation: Int
    var pollInterval: Int
    var leaseDuration: Int
    var idleSeconds: Int
    /// Between two attempts to reach a server.
    var longestReconnect: Int
    /// How long a server's answers count from when it was asked for the pool's state.
    var lease: Int
    /// How far a gateway's clock is ahead or behind at the most.
    var clockSpread: Int
    var tier: TierConfiguration

    init(_ profile: SimulationProfile, _ chance: inout Chance) {
        if profile.hasBadNetwork {
            self.lossPercent = chance.one(of: [0, 0, 1, 5, 20])
            self.slowPercent = chance.one(of: [0, 5, 20])
            self.doublePercent = chance.one(of: [0, 0, 10, 30])
        }
        self.faultInterval = chance.one(of: [20_000, 60_000, 200_000])
        self.pause = chance.one(of: [500, 3_000, 15_000])
        self.visitors = chance.within(3...6)
        self.gateways = chance.within(2...3)
        self.operations = chance.within(150...600)
        if profile.hasOnlyTotalLosses {
            // The next loss comes when the sessions have been found again.
            self.faultInterval = chance.one(of: [200_000, 1_000_000])
            self.operations = chance.within(600...2_000)
        }
        self.loadTimeout = chance.one(of: [100_000, 250_000])
        self.longestOperation = profile.isRestartHeavy ? chance.one(of: [15_000, 30_000, 45_000, 100_000]) : 2_000_000
        self.pollInterval = profile.hasLongTimes ? 1_000_000 : chance.one(of: [20_000, 250_000])
        self.leaseDuration = chance.one(of: [0, 200_000])
        self.longestReconnect = profile.hasLongTimes ? 5_000_000 : 20_000
        self.idleSeconds = profile.hasLongTimes ? chance.one(of: [60, 1_440, 23 * 3_600]) : 1_440
        self.lease = 3_000_000
        self.clockSpread = profile.hasLongTimes ? 500_000 : 86_400_000_000
        // The same bytes for every simulated site.
        guard let keyspace = SessionKeyspace(prefix: "", site: "s") else { preconditionFailure("no keyspace") }
        self.tier = TierConfiguration(
            keyspace: keyspace,
            idleLifetime: .seconds(self.idleSeconds),
            absoluteLifetime: .seconds(86_400)
        )
        if profile.hasDatabase {
            self.tier.servesDegraded = profile.isDegradedServed
            self.tier.syncInterval = .milliseconds(
                chance.one(of: profile.hasLongTimes ? [1_000, 120_000, 3_000_000] : [20, 100, 1_000])
            )
            self.tier.syncsNew = chance.isLucky(percent: 30)
            self.tier.minimumReapAfter = .milliseconds(chance.one(of: [100, 1_000, 1_800_000]))
            self.tier.unknownIDs = 1_000_000
            if !profile.hasLongTimes {
                let interval = Int(self.tier.syncInterval.wholeMilliseconds) * 1_000
                self.clockSpread = chance.one(of: [0, 5_000, interval / 2, 600_000_000])
            }
        }
        guard profile.nextServers != nil else { return }
        // Many requests in each stage of a change.
        self.longestOperation = chance.one(of: [30_000, 100_000, 300_000])
        self.pollInterval = 20_000
        self.lease = chance.one(of: [60_000, 200_000])
    }
}
