package import Sessions

/// What a gateway tells of itself to the others, on the servers of the pool: they begin a change of the ring when all are
/// configured with the same one. For that, and for the operator; nothing that must hold depends on it.
package struct GatewayRegistration: Sendable, Equatable {
    /// Random per process.
    package var identity: UInt64
    /// Counts the configurations of the process.
    package var sequence: Int
    /// Host and process.
    package var name: String
    package var epoch: UInt64
    package var configured: RingDescription
    /// What it is doing for the others.
    package var activity: String

    package var text: String {
        """
        gateway \(String(self.identity, radix: 16)) \(self.sequence) \(self.name) \(self.epoch)
        activity \(self.activity)
        \(PoolState(epoch: 0, stage: .stable(self.configured)).text)
        """
    }

    package init(
        identity: UInt64,
        sequence: Int,
        name: String,
        epoch: UInt64,
        configured: RingDescription,
        activity: String = ""
    ) {
        self.identity = identity
        self.sequence = sequence
        self.name = name
        self.epoch = epoch
        self.configured = configured
        self.activity = activity
    }

    package init?(text: String) {
        let lines = text.split(separator: "\n", maxSplits: 2)
        guard lines.count == 3 else { return nil }
        let words = lines[0].split(separator: " ")
        guard words.count == 5, words[0] == "gateway", let identity = UInt64(words[1], radix: 16),
            let sequence = Int(words[2]), let epoch = UInt64(words[4]), lines[1].hasPrefix("activity"),
            case .stable(let ring)? = PoolState<RingDescription>(text: lines[2])?.stage
        else { return nil }
        self.init(
            identity: identity,
            sequence: sequence,
            name: String(words[3]),
            epoch: epoch,
            configured: ring,
            activity: String(lines[1].dropFirst("activity ".count))
        )
    }

    /// The latest of each process.
    package static func latest(_ all: [GatewayRegistration]) -> [GatewayRegistration] {
        var latest: [UInt64: GatewayRegistration] = [:]
        for one in all {
            if let known = latest[one.identity], (known.sequence, known.epoch) >= (one.sequence, one.epoch) { continue }
            latest[one.identity] = one
        }
        return latest.values.sorted { ($0.name, $0.identity) < ($1.name, $1.identity) }
    }
}
