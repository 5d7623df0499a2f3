import CAllocations
import Glibc
import Sessions

/// What a look-up in a ring of a thousand servers costs, for every kind of ring: time and allocations.
///
///     swift run -c release ring-benchmark
///
/// Exit status 1 where a look-up takes a microsecond or longer in the mean, or anything was allocated.
@main
enum RingBenchmark {
    private static let lookups = 1_000_000
    private static let limit = Duration.microseconds(1)

    static func main() {
        let servers = (0..<1_000).map { RingServer(host: "10.0.\($0 / 256).\($0 % 256)", port: 11_211) }
        let keys = Self.keys()
        var failed = false
        for kind in RingKind.allCases {
            let ring = Ring(kind: kind, servers: servers)
            // The best of three: what else runs on the machine only makes it slower.
            let rounds = (0..<3).map { _ in Self.measure(ring, keys) }
            let time = rounds.map(\.time).min() ?? .zero
            let allocations = rounds.map(\.allocations).max() ?? 0
            let nanoseconds = time.components.attoseconds / 1_000_000_000 / Int64(Self.lookups)
            print("\(kind.rawValue): \(nanoseconds) ns per look-up, \(allocations) allocations in \(Self.lookups)")
            failed = failed || time >= Self.limit * Self.lookups || allocations > 0
        }
        if failed { exit(1) }
    }

    /// As long as the gateway's own keys are.
    private static func keys() -> [[UInt8]] {
        (0..<1_024).map { number in
            var key = Array("sg:shop:\(UInt64(number) &* 0x9E37_79B9_7F4A_7C15)".utf8)
            while key.count < 51 { key.append(UInt8(ascii: "x")) }
            return key
        }
    }

    private static func measure(_ ring: Ring, _ keys: [[UInt8]]) -> (time: Duration, allocations: UInt) {
        var sum = 0
        let before = allocations_so_far()
        let start = ContinuousClock.now
        for number in 0..<Self.lookups {
            sum &+= keys[number & 1_023].withUnsafeBytes { ring.replicaSet(for: $0, count: 3)[0] }
        }
        let time = start.duration(to: .now)
        let allocations = allocations_so_far() - before
        // Or the compiler could leave the look-ups out.
        precondition(sum > 0)
        return (time, UInt(allocations))
    }
}
