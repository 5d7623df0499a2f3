import Database
import GatewayTesting
import Logging
import NIOCore
import NIOPosix
import Sessions
import Synchronization
import Testing

@testable import Store

/// What the log tells of a site's database while the gateway runs; here not every minute, but oftener.
@Suite(.timeLimit(.minutes(1)))
struct FiguresTests {
    /// The lines of figures, as numbers by name.
    private final class Lines: Sendable {
        private let lines = Mutex<[[String: Int]]>([])

        var all: [[String: Int]] { self.lines.withLock { $0 } }

        var logger: Logger { Logger(label: "figures") { _ in Handler(lines: self) } }

        func add(_ event: LogEvent) {
            guard event.message == "database", event.level == .info else { return }
            let numbers = (event.metadata ?? [:]).compactMapValues { Int("\($0)") }
            self.lines.withLock { $0.append(numbers) }
        }
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) { self.lines.add(event) }
    }

    @Test func theyAreToldAgainAndAgainBesideMemcached() async throws {
        try await HybridStoreTests.with { stack in
            let lines = Lines()
            let gateway = stack.gateway(logger: lines.logger, reportInterval: .milliseconds(500))
            let key = await stack.key()
            // Each condition is met by a line of its own, while the service runs.
            try await stack.serving(gateway) { lines.all.count >= 1 }
            #expect(lines.all.first?["writes"] == 0)
            _ = await gateway.create(key, "0")
            for number in 1...20 {
                guard let session = try? await gateway.session(key) else { continue }
                _ = await gateway.save(session, key, "\(number)")
            }
            try await stack.serving(gateway) { lines.all.last?["writes"] ?? 0 >= 1 }
            let line = try #require(lines.all.last)
            #expect(line["reads"] == 0 && line["avoided_reads"] == 20)
            #expect(line["avoided_writes"] ?? 0 >= 15 && line["failures"] == 0)

            // What waits while the database is away, and for how long.
            stack.setDown(true)
            let other = await stack.key()
            _ = await gateway.create(other, "1")
            try await stack.serving(gateway) { lines.all.last?["lag_ms"] ?? 0 > 300 }
            let waiting = try #require(lines.all.last)
            #expect(waiting["waiting"] ?? 0 >= 1 && waiting["waiting_bytes"] ?? 0 > 0 && waiting["failures"] ?? 0 >= 1)
            stack.setDown(false)
            try await stack.serving(gateway) { lines.all.last?["waiting"] == 0 }
            #expect(lines.all.last?["lag_ms"] == 0)
        }
    }

    @Test func theyAreToldAgainAndAgainOfADatabaseAlone() async throws {
        let directory = try TemporaryDirectory()
        let lines = Lines()
        let shared = DatabaseStore.Shared(
            database: try DatabaseConfiguration(location: .sqlite(path: directory.path("sessions.sqlite"))).open(),
            configuration: TierConfiguration(
                keyspace: try #require(SessionKeyspace(prefix: "sg:", site: "test")),
                idleLifetime: .seconds(1_440),
                absoluteLifetime: .seconds(86_400)
            )
        )
        _ = try await shared.database.migrate()
        let store = DatabaseStore(shared, eventLoop: MultiThreadedEventLoopGroup.singleton.next(), logger: lines.logger)
        let service = Task { await shared.run(logger: lines.logger, reportInterval: .milliseconds(200)) }
        var random = SystemRandom()
        let key = store.key(for: SessionID.generate(using: &random))
        _ = await store.create(key, payload: ByteBuffer(string: "one"), hasCookieLifetime: false, isDurable: false)
        for _ in 0..<5 { _ = await store.load(key, client: nil) }
        try await Eventually.holds(within: .seconds(20), "a line with what was done") {
            lines.all.last?["reads"] == 5
        }
        #expect(lines.all.last?["failures"] == 0 && lines.all.last?["avoided_writes"] == 5)
        #expect(lines.all.last?["writes"] ?? 0 >= 1)
        let count = lines.all.count
        try await Eventually.holds(within: .seconds(20), "further lines") { lines.all.count > count + 1 }
        service.cancel()
        await service.value
        await shared.database.close()
    }
}
