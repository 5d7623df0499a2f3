package import Memcached
package import Sessions

/// How one site keeps its sessions.
package struct StoreConfiguration: Sendable {
    package struct Server: Sendable, Hashable {
        package var address: MemcachedAddress
        /// As the ring sees it: host exactly as configured, port, weight.
        package var ringServer: RingServer

        package init(address: MemcachedAddress, ringServer: RingServer) {
            self.address = address
            self.ringServer = ringServer
        }
    }

    /// What every key of the site begins with: prefix and site.
    package var keyspace: SessionKeyspace
    package var servers: [Server]
    package var redundancy: Int
    package var ring: RingKind
    /// Keys the checksum of the records; nil: the keyspace does.
    package var secret: String?
    package var idleLifetime: Duration
    package var absoluteLifetime: Duration
    /// No copy lives longer than this without being written anew.
    package var maximumItemAge: Duration = .seconds(23 * 3_600)
    /// No tombstone goes before: until then its session could be taken over from another store again.
    package var tombstonesUntil: SessionRecord.Timestamp = 0
    /// Of one whole load, save, create or destroy.
    package var loadTimeout: Duration = .milliseconds(250)
    /// Whether what fewer servers than `redundancy` know is served, marked as degraded.
    package var servesDegraded = true
    package var memcached = MemcachedConfiguration()
    /// The ring that the sessions may still be on, where the servers say nothing of it.
    package var previousRing: RingDescription?
    /// What the pool's state was when a gateway here last knew it.
    package var memory: PoolMemory?
    /// How long a server's answers count from when it was asked for the pool's state. It is asked three times as often.
    package var stateLease: Duration = .seconds(3)
    /// For how long servers that were taken out of the configuration must be down before it goes on without what they had.
    package var lossPatience: Duration = .seconds(30)

    /// D of the protocol: no operation that is older acknowledges anything; a walk waits for it to pass.
    package var longestOperation = Self.defaultLongestOperation
    package static let defaultLongestOperation: Duration = .seconds(2)

    package init(
        keyspace: SessionKeyspace,
        servers: [Server],
        redundancy: Int,
        ring: RingKind,
        idleLifetime: Duration,
        absoluteLifetime: Duration
    ) {
        self.keyspace = keyspace
        self.servers = servers
        self.redundancy = redundancy
        self.ring = ring
        self.idleLifetime = idleLifetime
        self.absoluteLifetime = absoluteLifetime
    }

    /// How the ring is configured.
    package var ringDescription: RingDescription {
        RingDescription(kind: self.ring, redundancy: self.redundancy, servers: self.servers.map(\.ringServer))
    }

    /// After it nobody works by the state before any more: longer than the lease and the longest operation, by a clock
    /// that may be a tenth too fast.
    var stateBarrier: Duration {
        (self.stateLease + self.longestOperation + self.memcached.operationTimeout) * 11 / 10
    }

    /// Of the item by which one gateway at a time moves the sessions.
    var moveLeaseKey: [UInt8] { self.keyspace.bytes.dropLast() + Array("!move".utf8) }

    /// Of the items by which gateways tell of each other.
    func registrationKey(_ slot: Int) -> [UInt8] { self.keyspace.bytes.dropLast() + Array("!gateway\(slot)".utf8) }

    /// Of the item that says that a server knows all it should. It belongs to the site, as what a server must know
    /// depends on the site's redundancy and ring.
    var markerKey: [UInt8] { self.keyspace.bytes.dropLast() + Array("!life".utf8) }

    /// Of the item by which one gateway at a time walks for a server.
    var leaseKey: [UInt8] { self.keyspace.bytes.dropLast() + Array("!walk".utf8) }
}
