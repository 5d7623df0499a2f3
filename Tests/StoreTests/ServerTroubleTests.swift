import GatewayTesting
import Memcached
import NIOCore
import Sessions
import Synchronization
import Testing

@testable import Store

/// One of three memcacheds is in trouble, two copies of each session: nobody sees an error or an old session, and once the
/// trouble is known nobody waits.
@Suite(.serialized) struct ServerTroubleTests {
    struct Trial: Sendable, CustomTestStringConvertible {
        var trouble: TroubledMemcached.Trouble
        /// Whether the server is not asked about sessions any more once it is found out.
        var isHeldDown: Bool
        var testDescription: String { "\(self.trouble)" }
    }

    private static let trials = [
        Trial(trouble: .silent, isHeldDown: true),
        Trial(trouble: .refuses, isHeldDown: true),
        Trial(trouble: .resets, isHeldDown: true),
        Trial(trouble: .babbles, isHeldDown: true),
        Trial(trouble: .drips, isHeldDown: true),
        Trial(trouble: .mixesUp, isHeldDown: false),
        Trial(trouble: .declinesWrites, isHeldDown: false),
        Trial(trouble: .fails(percent: 1), isHeldDown: false),
        Trial(trouble: .fails(percent: 20), isHeldDown: false),
    ]

    @Test(arguments: Self.trials) func nobodyNotices(_ trial: Trial) async throws {
        let made = Mutex<TroubledMemcached?>(nil)
        try await StoreFixture.with { configuration in
            configuration.memcached.operationTimeout = .milliseconds(300)
            guard case .tcp(host: let host, port: let port) = configuration.servers[1].address,
                let troubled = try? TroubledMemcached(to: .port(port))
            else { return }
            configuration.servers[1].address = .tcp(host: host, port: troubled.port)
            made.withLock { $0 = troubled }
        } _: { fixture in
            let troubled = try #require(made.withLock { $0 })
            var keys: [SessionKey] = []
            for _ in 0..<16 {
                let key = await fixture.freshKey().key
                #expect(await fixture.create(key, "0").isSaved)
                keys.append(key)
            }
            try troubled.begin(trial.trouble)
            // The first to meet the trouble wait for a time-out; a connection that is reset is known at once.
            try await self.changeAll(keys, round: 1, fixture)
            if trial.isHeldDown {
                try await Eventually.holds("the trouble to be known") {
                    await fixture.onLoop { !$0.pool.servers[1].isAvailable }
                }
                try troubled.begin(trial.trouble)
            }
            let start = ContinuousClock.now
            for round in 2...4 { try await self.changeAll(keys, round: round, fixture) }
            // Who waited for the server at each of these would take half a minute.
            #expect(ContinuousClock.now - start < .seconds(12))
            if trial.isHeldDown { #expect(troubled.sessionCommands == 0) }
            try troubled.end()
            try await Eventually.holds(within: .seconds(30), "the server to be used again") {
                await fixture.onLoop { $0.pool.servers[1].isAvailable }
            }
            try await self.changeAll(keys, round: 5, fixture)
        }
    }

    private func changeAll(_ keys: [SessionKey], round: Int, _ fixture: StoreFixture) async throws {
        for key in keys {
            let session = try await fixture.session(key)
            #expect(String(buffer: session.payload) == "\(round - 1)")
            #expect(!session.isDegraded)
            #expect(await fixture.save(session, key, "\(round)").isSaved)
        }
    }

    @Test func whatIsInFlightWhenAServerStopsIsAnsweredByTheOthersWithinTheTimeOut() async throws {
        let timeout = Duration.seconds(1)
        try await StoreFixture.with {
            $0.memcached.operationTimeout = timeout
            $0.loadTimeout = .seconds(5)
        } _: { fixture in
            var keys: [SessionKey] = []
            for _ in 0..<60 {
                let key = await fixture.freshKey().key
                #expect(await fixture.create(key, "here").isSaved)
                keys.append(key)
            }
            try fixture.servers[0].freeze()
            let all = keys
            func loadAll() async -> (live: Int, took: Duration) {
                let start = ContinuousClock.now
                let live = await withTaskGroup(of: Bool.self) { group in
                    for key in all { group.addTask { await fixture.text(key) == "here" } }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                return (live, ContinuousClock.now - start)
            }
            let first = await loadAll()
            #expect(first.live == keys.count)
            // All wait at the same time, and for no more than one time-out.
            #expect(first.took < timeout * 2)
            let second = await loadAll()
            #expect(second.live == keys.count)
            #expect(second.took < timeout / 2)
            try fixture.servers[0].thaw()
        }
    }
}
