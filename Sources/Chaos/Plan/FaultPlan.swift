import Foundation
import GatewayTesting

/// A pause, and then something that lasts.
package struct PlannedFault<Kind: Sendable & Equatable>: Sendable, Equatable {
    package var pause: Duration
    package var kind: Kind
    /// Which memcached, or which gateway.
    package var target: Int
    /// Of a memcached that is cut off from one gateway: which.
    package var gateway: Int
    package var lasts: Duration
}

/// What happens to the memcacheds, one after the other: without an end, and told by the seed alone. Each kind comes once
/// before any comes again.
package struct ServerFaultPlan: Sequence, IteratorProtocol, Sendable {
    private var random: SplitMix
    private let kinds: [ServerFault]
    private let servers: Int
    private let gateways: Int
    private let longest: Duration
    private var deck: [ServerFault] = []

    /// - Parameter longest: of a fault: half of a run would tell little about the rest.
    package init(seed: UInt64, kinds: [ServerFault], servers: Int, gateways: Int, longest: Duration) {
        self.random = SplitMix(seed: seed)
        self.kinds = kinds
        self.servers = servers
        self.gateways = gateways
        self.longest = longest
    }

    package mutating func next() -> PlannedFault<ServerFault>? {
        if self.deck.isEmpty { self.deck = self.kinds.shuffled(using: &self.random) }
        guard let kind = self.deck.popLast() else { return nil }
        let target = self.random.below(self.servers)
        let gateway = self.random.below(self.gateways)
        let pause = self.random.duration(0.3...2)
        let lasts: Duration =
            switch kind {
            case .restarted: .zero
            case .killed: self.random.duration(0.1...10)
            case .frozen: self.random.duration(0.1...20)
            case .cut, .mute, .halfCut, .rejected, .lossy: self.random.duration(0.2...15)
            }
        return PlannedFault(
            pause: pause,
            kind: kind,
            target: target,
            gateway: gateway,
            lasts: Swift.min(lasts, self.longest)
        )
    }
}

/// What happens to the gateways, one after the other.
package struct GatewayFaultPlan: Sequence, IteratorProtocol, Sendable {
    private var random: SplitMix
    private let gateways: Int

    package init(seed: UInt64, gateways: Int) {
        self.random = SplitMix(seed: seed ^ 0x6761_7465)
        self.gateways = gateways
    }

    package mutating func next() -> PlannedFault<GatewayFault>? {
        let kind: GatewayFault = self.random.below(2) == 0 ? .killed : .frozen
        let target = self.random.below(self.gateways)
        return PlannedFault(
            pause: self.random.duration(4...15),
            kind: kind,
            target: target,
            gateway: target,
            lasts: kind == .killed ? self.random.duration(0.2...3) : self.random.duration(0.1...4)
        )
    }
}

/// The pauses between the deaths of two php-fpm workers, and which of them dies: its place in the list, as a share.
package struct WorkerFaultPlan: Sequence, IteratorProtocol, Sendable {
    private var random: SplitMix

    package init(seed: UInt64) { self.random = SplitMix(seed: seed ^ 0x0070_6870) }

    package mutating func next() -> (pause: Duration, place: Double)? {
        (self.random.duration(1...5), Double.random(in: 0..<1, using: &self.random))
    }
}

extension SplitMix {
    /// Seconds; short ones and long ones are equally likely, so most are short.
    mutating func duration(_ range: ClosedRange<Double>) -> Duration {
        let share = Double.random(in: 0...1, using: &self)
        return .milliseconds(Int(1_000 * range.lowerBound * pow(range.upperBound / range.lowerBound, share)))
    }
}
