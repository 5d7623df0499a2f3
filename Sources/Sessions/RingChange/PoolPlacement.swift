/// Where the keys of a pool belong by its state: for each key its servers, and what they are to it.
package struct PoolPlacement: Sendable {
    /// A class, so that a look-up counts one reference.
    private final class Part: Sendable {
        let ring: Ring
        let redundancy: Int
        let serverCount: Int
        /// By index in the ring: the number of the server in the pool.
        let numbers: [Int]
        /// One number per server, from its name: a replica set is told from others by theirs, in order.
        let fingerprints: [UInt32]
        /// By index in the ring; empty where none is.
        let drained: [Bool]

        init(_ description: RingDescription, numbers: [String: Int]) {
            self.ring = Ring(kind: description.kind, servers: description.servers)
            self.redundancy = description.redundancy
            self.serverCount = description.servers.count
            self.numbers = description.servers.map { numbers[$0.address] ?? 0 }
            self.fingerprints = description.servers.map { server in
                Self.mix(Self.mix(2_166_136_261, server.host.utf8), "\(server.port)".utf8)
            }
            self.drained =
                description.drained.isEmpty
                ? [] : description.servers.map { description.drained.contains($0.address) }
        }

        func replicas(of key: SessionKey) -> (set: ReplicaLayout, servers: [Int]) {
            let size = ReplicaLayout(redundancy: self.redundancy, servers: self.serverCount, placement: 0)
            let indexes = key.bytes.withUnsafeBytes { self.ring.replicaSet(for: $0, count: size.count) }
            var placement = UInt32(truncatingIfNeeded: size.redundancy)
            var drained: Positions = []
            for (position, index) in indexes.enumerated() {
                placement = (placement ^ self.fingerprints[index]) &* 16_777_619
                if !self.drained.isEmpty, self.drained[index] { drained.insert(position) }
            }
            let set = ReplicaLayout(
                redundancy: self.redundancy,
                servers: self.serverCount,
                placement: placement,
                drained: drained
            )
            return (set, indexes.map { self.numbers[$0] })
        }

        /// FNV-1a.
        private static func mix(_ start: UInt32, _ bytes: some Sequence<UInt8>) -> UInt32 {
            bytes.reduce(start) { ($0 ^ UInt32($1)) &* 16_777_619 }
        }
    }

    private let first: Part
    private let second: Part?
    private let hasMoved: Bool

    /// - Parameter numbers: of all the state's servers in the pool, by address.
    package init(_ state: PoolState<RingDescription>, numbers: [String: Int]) {
        self.first = Part(state.guardian, numbers: numbers)
        switch state.stage {
        case .stable:
            self.second = nil
            self.hasMoved = false
        case .joining(_, let to):
            self.second = Part(to, numbers: numbers)
            self.hasMoved = false
        case .joined(_, let to):
            self.second = Part(to, numbers: numbers)
            self.hasMoved = true
        }
    }

    /// The servers of a key by position, as their numbers in the pool, and what they are to it.
    package func replicas(of key: SessionKey) -> (set: ReplicaLayout, servers: [Int]) {
        let (old, servers) = self.first.replicas(of: key)
        guard let second else { return (old, servers) }
        let (new, newServers) = second.replicas(of: key)
        return ReplicaLayout.joint(old, servers, new, newServers, hasMoved: self.hasMoved) ?? (old, servers)
    }
}

extension ReplicaLayout {
    /// A key's servers while one ring takes another one's place; a key whose servers stay the same has nothing to do with it.
    ///
    /// - Returns: nil where both together are more than sixteen.
    package static func joint(
        _ old: ReplicaLayout,
        _ oldServers: [Int],
        _ new: ReplicaLayout,
        _ newServers: [Int],
        hasMoved: Bool
    ) -> (set: ReplicaLayout, servers: [Int])? {
        guard old != new || oldServers != newServers else { return (old, oldServers) }
        var servers = oldServers
        let order = newServers.map { server in
            if let position = servers.firstIndex(of: server) { return position }
            servers.append(server)
            return servers.count - 1
        }
        return ReplicaLayout(from: old, to: new, order: order, hasMoved: hasMoved).map { ($0, servers) }
    }
}
