import GatewayTesting
import Logging
import Memcached
import Synchronization
import Testing

@testable import Store

struct ServerDeclineTests {
    private func statistics(uptime: Int, evictions: Int = 0, hits: Int = 0) -> MemcachedStatistics {
        var statistics = MemcachedStatistics()
        statistics.uptime = uptime
        statistics.evictions = evictions
        statistics.connectionLimitHits = hits
        return statistics
    }

    @Test func onlyWhatHasBecomeWorseIsTold() {
        let before = self.statistics(uptime: 100, evictions: 5, hits: 1)
        #expect(ServerDecline.between(nil, before) == [])
        #expect(ServerDecline.between(before, self.statistics(uptime: 160, evictions: 5, hits: 1)) == [])
        #expect(
            ServerDecline.between(before, self.statistics(uptime: 160, evictions: 7, hits: 2))
                == [.evictions(2), .connectionLimitHits(1)]
        )
    }

    @Test func aServerThatWasStartedAnewCountsFromZero() {
        let before = self.statistics(uptime: 100, evictions: 5)
        #expect(ServerDecline.between(before, self.statistics(uptime: 3)) == [])
        #expect(ServerDecline.between(before, self.statistics(uptime: 3, evictions: 4)) == [.evictions(4)])
    }
}

struct ServerWatchTests {
    @Test func evictionsOfLiveItemsAreAWarning() async throws {
        let lines = LogLines()
        let logger = Logger(label: "watch") { _ in lines }
        // Forty megabytes into two.
        try await StoreFixture.with(servers: 1, redundancy: 1, memcachedArguments: ["-m", "2", "-I", "512k"]) {
            fixture in
            let watch = ServerWatch(pool: fixture.pool, logger: logger, interval: .milliseconds(50))
            let running = Task(executorPreference: fixture.executor) { await watch.run() }
            try await Eventually.holds(within: .seconds(10), "an answer") { watch.latest.first?.statistics != nil }
            #expect(lines.warnings == 0)
            let value = String(repeating: "v", count: 200_000)
            for number in 0..<200 {
                _ = try fixture.servers[0].command("set filler\(number) 0 0 \(value.utf8.count)\r\n\(value)")
            }
            try await Eventually.holds(within: .seconds(10), "a warning") { lines.warnings > 0 }
            #expect((watch.latest.first?.statistics?.evictions ?? 0) > 0)
            running.cancel()
            await running.value
        }
    }
}

struct StoreCountersTests {
    @Test func onlyWhatWentWrongIsReported() {
        let counters = StoreCounters()
        let before = counters.snapshot
        counters.loadStarted()
        counters.saveAcknowledged()
        counters.repaired()
        #expect(counters.snapshot.troubles(since: before).isEmpty)
        counters.corruptCopySeen()
        counters.conflictingCookiesSeen()
        counters.conflictingCookiesSeen()
        #expect(counters.snapshot.troubles(since: before) == ["corrupt_copies": 1, "conflicting_cookies": 2])
        #expect(counters.snapshot.troubles(since: counters.snapshot).isEmpty)
    }

    @Test func aDamagedCopyIsAWarningOnce() async throws {
        let lines = LogLines()
        let logger = Logger(label: "store") { _ in lines }
        let counters = StoreCounters()
        let running = Task { await counters.report(logger, every: .milliseconds(20)) }
        try await Task.sleep(for: .milliseconds(60))
        #expect(lines.warnings == 0)
        counters.corruptCopySeen()
        try await Eventually.holds(within: .seconds(10), "a warning") { lines.warnings > 0 }
        try await Task.sleep(for: .milliseconds(60))
        #expect(lines.warnings == 1)
        running.cancel()
        await running.value
    }
}

private final class LogLines: LogHandler, Sendable {
    private let count = Mutex(0)

    var warnings: Int { self.count.withLock { $0 } }

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .warning }
        set {}
    }

    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        self.count.withLock { $0 += 1 }
    }
}
