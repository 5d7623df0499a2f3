import Foundation
import GatewayTesting
import Glibc
import Synchronization
import Testing

/// Many sessions that are synced every second by two gateways, while one of these is killed in the middle of it again and
/// again, and the database is busy, full, stopped and killed: its rows never go back, and no request through the other
/// gateway fails.
///
///     SESSION_GATEWAY_LONG=1 swift test --filter SyncCampaignTests      10,000 sessions, 100 kills, 30 s each
@Suite(.serialized, .timeLimit(.minutes(30)))
struct SyncCampaignTests {
    private static let sessions = Campaign.count(120, long: 10_000)
    private static let kills = Campaign.count(5, long: 100)
    private static let outage = Duration.seconds(Campaign.count(2, long: 30))
    private static let interval = Duration.seconds(1)

    /// What the visitors have seen, over all threads.
    private final class Record: Sendable {
        struct Figures {
            var requests = 0
            /// Through the gateway that is never killed.
            var errors: [String] = []
            var latencies: [Duration] = []
            /// By visitor: the counts that were acknowledged, and when.
            var acknowledged: [Int: [(count: Int, end: ContinuousClock.Instant)]] = [:]
        }

        let figures = Mutex(Figures())
        let isOver = Flag()

        /// - Returns: the 99th percentile of what was measured since the last time, in milliseconds.
        func percentile() -> Double {
            self.figures.withLock { figures in
                let sorted = figures.latencies.sorted()
                figures.latencies = []
                guard !sorted.isEmpty else { return 0 }
                return sorted[min(sorted.count * 99 / 100, sorted.count - 1)] / .milliseconds(1)
            }
        }

        func add(_ visit: Visit, of visitor: Int, isSteady: Bool) {
            self.figures.withLock { figures in
                figures.requests += 1
                if isSteady {
                    figures.latencies.append(visit.end - visit.start)
                    if visit.status != 200 || !["new", "saved", "discarded"].contains(visit.outcome) {
                        figures.errors.append("\(visitor): \(visit.status) \(visit.outcome)")
                    }
                }
                guard visit.isAcknowledged else { return }
                let count = (visit.seen?.count ?? 0) + 1
                figures.acknowledged[visitor, default: []].append((count, visit.end))
            }
        }

        /// How long the row that lags most has been without something that was acknowledged.
        func lag(of rows: [Int: SyncRows.Row], at moment: ContinuousClock.Instant) -> Duration {
            self.figures.withLock { figures in
                var longest = Duration.zero
                for (visitor, writes) in figures.acknowledged {
                    let count = rows[visitor]?.count ?? 0
                    guard let missing = writes.first(where: { $0.count > count }) else { continue }
                    longest = max(longest, moment - missing.end)
                }
                return longest
            }
        }

        var newest: [Int: Int] {
            self.figures.withLock { $0.acknowledged.compactMapValues { $0.last?.count } }
        }
    }

    private static func stack(_ url: String) async throws -> FaultStack {
        let stack = try await FaultStack(
            FaultStack.Settings {
                $0.gateways = 2
                $0.phpChildren = 8
                $0.site = [
                    "connect_timeout: 2s", "operation_timeout: 2s", "load_timeout: 2s", "database:",
                    "  url: \"\(url)\"", "  statement_timeout: 1s", "  connect_timeout: 1s", "  sync_interval: 1s",
                    "  reap_interval: 1s", "  reap_after: \(Campaign.count(2, long: 20))s",
                ]
            }
        )
        try await stack.waitUntilComplete()
        return stack
    }

    /// Visitors that come again and again until it is over, through the second gateway or, every fourth time, the first.
    private static func visit(_ stack: FaultStack, _ record: Record) async throws {
        let threads = 4
        _ = try await Threads.map(0..<threads, atOnce: threads) { thread in
            var visitors: [(number: Int, visitor: CountingVisitor)] = []
            for number in stride(from: thread, to: Self.sessions, by: threads) {
                var visitor = CountingVisitor(stack.client(1))
                record.add(await visitor.write("\(number).0"), of: number, isSteady: true)
                visitors.append((number, visitor))
            }
            var round = 0
            while !record.isOver.isSet {
                round += 1
                for index in visitors.indices {
                    if record.isOver.isSet { break }
                    let number = visitors[index].number
                    let isSteady = (round + number) % 4 != 0
                    let visit = await visitors[index].visitor.write(
                        "\(number).\(round)",
                        through: stack.client(isSteady ? 1 : 0)
                    )
                    record.add(visit, of: number, isSteady: isSteady)
                }
            }
        }
    }

    /// Kills the first gateway at any moment, and starts it again.
    private static func killGateway(_ stack: FaultStack, _ rows: SyncRows) async throws {
        for _ in 0..<Self.kills {
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...700)))
            stack.gateways[0].kill()
            #expect(try await rows.integrity() == "ok")
            await rows.read()
            try await stack.gateways[0].start()
        }
    }

    /// After the database is back, until no row lags behind more than it may at any time.
    /// - Returns: when the rows were begun to be read that show it, and when they had been.
    private static func recovery(_ record: Record, _ rows: SyncRows) async throws -> (begun: Duration, read: Duration) {
        let back = ContinuousClock.now
        while .now - back < .seconds(60) {
            let moment = ContinuousClock.now
            if let found = await rows.read(), record.lag(of: found, at: moment) <= Self.interval + .seconds(1) {
                return (moment - back, .now - back)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw TestingError("the rows are not up to date a minute after the database is back")
    }

    /// - Parameter faults: what happens to the database, by name; each ends before it returns.
    private static func campaign(
        _ name: String,
        _ url: String,
        _ source: SyncRows.Source,
        _ faults: [(name: String, inflict: () async throws -> Void)]
    ) async throws {
        let stack = try await Self.stack(url)
        let (record, rows) = (Record(), try SyncRows(source))
        let visits = Task { try await Self.visit(stack, record) }
        let watch = Task {
            while !record.isOver.isSet {
                await rows.read()
                try? await Task.sleep(for: .milliseconds(300))
            }
        }
        // Everybody is there.
        try await Eventually.holds(within: .seconds(600), "the sessions") {
            record.newest.count == Self.sessions
        }
        var story: [String] = []
        _ = record.percentile()
        try await Task.sleep(for: Campaign.isLong ? .seconds(30) : .seconds(1))
        story.append("healthy: p99 \(record.percentile()) ms")

        try await Self.killGateway(stack, rows)
        story.append("\(Self.kills) kills: p99 \(record.percentile()) ms")
        for fault in faults {
            // What a killed gateway had not told, the reaper finds; that is no lag of a sync.
            try await Self.settle(record, rows)
            _ = record.percentile()
            try await fault.inflict()
            let percentile = record.percentile()
            let recovery = try await Self.recovery(record, rows)
            #expect(recovery.read < Self.interval + .seconds(Campaign.isLong ? 4 : 9), "\(fault.name)")
            #expect(try await rows.integrity() == "ok", "\(fault.name)")
            let (begun, read) = (recovery.begun / .milliseconds(1), recovery.read / .milliseconds(1))
            story.append("\(fault.name): p99 \(percentile) ms, up to date after \(begun) to \(read) ms")
        }
        record.isOver.set()
        try await visits.value
        await watch.value

        // In the end the rows are what the visitors have seen last.
        for gateway in stack.gateways { #expect(try await gateway.stop() == .status(0)) }
        let found = try #require(await rows.read())
        for (visitor, count) in record.newest {
            #expect(found[visitor]?.count ?? 0 >= count, "\(visitor)")
        }
        #expect(rows.lower.isEmpty, "\(rows.lower.prefix(3))")
        #expect(try await rows.integrity() == "ok")
        for gateway in stack.gateways {
            let line = gateway.log.split(separator: "\n").last { $0.contains("avoided_writes=") } ?? ""
            #expect(line.contains("waiting=0 ") || line.hasSuffix("waiting=0"), "\(line)")
            #expect(line.contains("overflows=0"), "\(line)")
            story.append("\(line)")
        }
        let (requests, errors) = record.figures.withLock { ($0.requests, $0.errors) }
        #expect(errors.isEmpty, "\(errors.count): \(errors.prefix(5))")
        if Campaign.isLong {
            print("\(name): \(requests) requests, \(errors.count) errors, rows read \(rows.readings) times")
            for line in story { print("    \(line)") }
        }
    }

    /// Until every row is at most the interval behind.
    private static func settle(_ record: Record, _ rows: SyncRows) async throws {
        try await Eventually.holds(within: .seconds(120), "the reaper to have told the rows") {
            let moment = ContinuousClock.now
            guard let found = await rows.read() else { return false }
            return record.lag(of: found, at: moment) <= Self.interval + .seconds(1)
        }
    }

    @Test(.enabled(if: getuid() == 0, "mounts a small tmpfs"))
    func aFileNeverGoesBackAndIsNeverTorn() async throws {
        let directory = try TemporaryDirectory()
        let small = directory.path("small")
        try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
        try #require(mount("tmpfs", small, "tmpfs", 0, "size=\(Campaign.count(4, long: 128))m") == 0)
        defer { umount2(small, Int32(MNT_DETACH)) }
        let path = "\(small)/sessions.sqlite"
        try await Self.campaign(
            "SQLite",
            "sqlite:\(path)",
            .file(path),
            [
                (
                    "locked by somebody else",
                    {
                        let seconds = Self.outage / .seconds(1)
                        try await SyncRows(.file(path)).execute(
                            "BEGIN IMMEDIATE",
                            ".shell sleep \(seconds)",
                            "COMMIT"
                        )
                    }
                ),
                (
                    "disk full",
                    {
                        try Self.fill(small)
                        try await Task.sleep(for: Self.outage)
                        try FileManager.default.removeItem(atPath: "\(small)/filler")
                    }
                ),
            ]
        )
    }

    @Test func aServerNeverGoesBack() async throws {
        let server = try await PostgreSQLProcess()
        let url = try await server.createDatabase("sessions")
        try await Self.campaign(
            "PostgreSQL",
            url,
            .server(server),
            [
                (
                    "stopped at once",
                    {
                        try await server.kill()
                        try await Task.sleep(for: Self.outage)
                        try await server.start()
                    }
                ),
                (
                    "frozen",
                    {
                        try server.freeze()
                        try await Task.sleep(for: Self.outage)
                        try server.thaw()
                    }
                ),
            ]
        )
        try await server.kill()
    }

    /// With a file beside the database, to the last byte.
    private static func fill(_ directory: String) throws {
        let descriptor = open("\(directory)/filler", O_WRONLY | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let block = [UInt8](repeating: 0, count: 4_096)
        while write(descriptor, block, block.count) > 0 {}
    }
}
