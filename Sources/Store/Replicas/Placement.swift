import Sessions

/// Where the keys of a site belong: the ring, and for each key its replica set.
struct Placement: Sendable {
    private let ring: Ring
    private let redundancy: Int
    /// One number per server, from its name: a replica set is told from others by theirs, in order.
    private let fingerprints: [UInt32]
    let serverCount: Int

    init(_ configuration: StoreConfiguration) {
        let servers = configuration.servers.map(\.ringServer)
        self.ring = Ring(kind: configuration.ring, servers: servers)
        self.redundancy = configuration.redundancy
        self.serverCount = servers.count
        self.fingerprints = servers.map { server in
            Self.mix(Self.mix(2_166_136_261, server.host.utf8), "\(server.port)".utf8)
        }
    }

    /// The servers of a key in ring order (indexes into the configuration's list), and what they are to it.
    func replicas(of key: SessionKey) -> (set: ReplicaLayout, servers: [Int]) {
        let size = ReplicaLayout(redundancy: self.redundancy, servers: self.serverCount, placement: 0)
        let servers = self.ring.replicaSet(for: key.bytes, count: size.count)
        var placement = UInt32(truncatingIfNeeded: size.redundancy)
        for server in servers {
            placement = (placement ^ self.fingerprints[server]) &* 16_777_619
        }
        return (ReplicaLayout(redundancy: self.redundancy, servers: self.serverCount, placement: placement), servers)
    }

    /// FNV-1a.
    private static func mix(_ start: UInt32, _ bytes: some Sequence<UInt8>) -> UInt32 {
        bytes.reduce(start) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }
}
