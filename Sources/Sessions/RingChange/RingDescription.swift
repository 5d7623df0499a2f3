/// A ring as the configuration of a site describes it: all that decides on which servers a session is.
package struct RingDescription: PoolRing {
    package var kind: RingKind
    package var redundancy: Int
    package var servers: [RingServer]
    /// Addresses of servers that hold nothing new as long as others can.
    package var drained: Set<String> = []

    package init(kind: RingKind, redundancy: Int, servers: [RingServer], drained: Set<String> = []) {
        self.kind = kind
        self.redundancy = redundancy
        self.servers = servers
        self.drained = drained
    }

    /// Each once.
    package var members: [String] {
        var known = Set<String>()
        return self.servers.map(\.address).filter { known.insert($0).inserted }
    }

    package func placesAlike(_ other: RingDescription) -> Bool {
        self.kind == other.kind && self.redundancy == other.redundancy && self.servers == other.servers
    }

    /// The same with those of these servers drained that it has.
    package func draining(_ servers: Set<String>) -> RingDescription {
        var ring = self
        ring.drained = servers.intersection(self.members)
        return ring
    }

    /// Servers of one session.
    private var setSize: Int {
        ReplicaLayout(redundancy: self.redundancy, servers: self.members.count, placement: 0).count
    }

    /// Whether a session's servers in both rings together always have a position each.
    package func canBeReplaced(by other: RingDescription) -> Bool {
        let all = Set(self.members).union(other.members).count
        return min(all, self.setSize + other.setSize) <= ReplicaSet.capacity
    }
}

/// As text, for markers, for the file that remembers it, and for whoever looks into a server by hand: a line of the epoch
/// and the stage, then for each ring a line of its kind and redundancy and one for each server: host, port, weight, and
/// whether it is drained.
extension PoolState where Ring == RingDescription {
    package var text: String {
        var lines: [String]
        switch self.stage {
        case .stable(let ring): lines = ["epoch \(self.epoch) stable"] + Self.lines(ring)
        case .joining(let from, let to): lines = ["epoch \(self.epoch) joining"] + Self.lines(from) + Self.lines(to)
        case .joined(let from, let to): lines = ["epoch \(self.epoch) joined"] + Self.lines(from) + Self.lines(to)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ ring: RingDescription) -> [String] {
        ["ring \(ring.kind.rawValue) \(ring.redundancy)"]
            + ring.servers.map { server in
                let state = ring.drained.contains(server.address) ? "drained" : "serving"
                return "server \(Self.escaped(server.host)) \(server.port) \(server.weight) \(state)"
            }
    }

    /// - Returns: nil where the text is nothing of ours, or was cut.
    package init?(text: some StringProtocol) {
        var lines = text.split(separator: "\n")[...]
        guard text.hasSuffix("\n"), let first = lines.popFirst() else { return nil }
        let head = first.split(separator: " ")
        guard head.count == 3, head[0] == "epoch", let epoch = UInt64(head[1]), epoch < .max else { return nil }
        var rings: [RingDescription] = []
        for line in lines {
            let words = line.split(separator: " ")
            switch words.first {
            case "ring":
                guard words.count == 3, let kind = RingKind(rawValue: String(words[1])), let redundancy = Int(words[2]),
                    (1...ReplicaLayout.maximumRedundancy).contains(redundancy)
                else { return nil }
                rings.append(RingDescription(kind: kind, redundancy: redundancy, servers: []))
            case "server":
                guard words.count == 5, !rings.isEmpty, let host = PercentEncoding.decode(words[1]), !host.isEmpty,
                    let port = Int(words[2]),
                    let weight = Int(words[3]), (0...65_535).contains(port)
                else { return nil }
                let server = RingServer(host: host, port: port, weight: weight)
                rings[rings.count - 1].servers.append(server)
                if words[4] == "drained" { rings[rings.count - 1].drained.insert(server.address) }
            default:
                return nil
            }
        }
        guard rings.allSatisfy({ !$0.servers.isEmpty && Sessions.Ring.takes($0.servers) }) else { return nil }
        switch (head[2], rings.count) {
        case ("stable", 1): self.init(epoch: epoch, stage: .stable(rings[0]))
        case ("joining", 2): self.init(epoch: epoch, stage: .joining(from: rings[0], to: rings[1]))
        case ("joined", 2): self.init(epoch: epoch, stage: .joined(from: rings[0], to: rings[1]))
        default: return nil
        }
        if case .joining(let from, let to) = self.stage, !from.canBeReplaced(by: to) { return nil }
        if case .joined(let from, let to) = self.stage, !from.canBeReplaced(by: to) { return nil }
    }

    /// Paths may have blanks.
    private static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "%")
                ? String(decoding: [byte], as: UTF8.self)
                : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
