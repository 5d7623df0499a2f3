import GatewayTesting
import Memcached
import NIOCore
import Sessions
import Testing

@testable import Store

/// The store over real memcacheds: what each failure leaves of a session.
@Suite(.timeLimit(.minutes(2)))
struct SessionStoreTests {
    @Test func aSessionIsReadAsItWasWritten() async throws {
        try await StoreFixture.with { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.text(key) == nil)
            #expect(await fixture.create(key, "one").isSaved)
            #expect(try fixture.copies(key) == servers.prefix(2).sorted())
            let session = try await fixture.session(key)
            #expect(await fixture.save(session, key, "two").isSaved)
            #expect(await fixture.text(key) == "two")
            // From the version before: another save has won.
            #expect(await fixture.save(session, key, "three").isDiscarded)
            #expect(await fixture.text(key) == "two")
            #expect(await fixture.destroy(key) == .destroyed)
            #expect(await fixture.text(key) == nil)
            #expect(fixture.counters.snapshot.discards == 1)
        }
    }

    @Test func aHealthyLoadAndSaveAskEachHolderOnce() async throws {
        try await StoreFixture.with { fixture in
            let (key, _) = await fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            func commands() throws -> (gets: Int, sets: Int) {
                try fixture.servers.reduce((0, 0)) { sum, server in
                    let statistics = try server.statistics()
                    let touches = Int(statistics["touch_hits"] ?? "") ?? 0
                    let gets = Int(statistics["cmd_get"] ?? "") ?? 0
                    return (sum.0 + gets + touches, sum.1 + (Int(statistics["cmd_set"] ?? "") ?? 0))
                }
            }
            let before = try commands()
            var session = try await fixture.session(key)
            for number in 0..<10 {
                guard case .saved(let saved) = await fixture.save(session, key, "\(number)") else {
                    Issue.record("not saved")
                    return
                }
                session = saved
            }
            let after = try commands()
            // A touching get counts as a get and as a touch.
            #expect(after.sets - before.sets == 20)
            #expect(after.gets - before.gets <= 4)
        }
    }

    @Test(arguments: [1, 2, 3])
    func everyRedundancyKeepsAsManyCopies(_ redundancy: Int) async throws {
        try await StoreFixture.with(servers: 5, redundancy: redundancy) { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            #expect(try fixture.copies(key) == servers.prefix(redundancy).sorted())
            let session = try await fixture.session(key)
            #expect(await fixture.save(session, key, "two").isSaved)
            #expect(await fixture.text(key) == "two")
        }
    }

    @Test(arguments: [0, 1])
    func aHolderThatDiesBetweenLoadAndSaveCostsNothing(_ position: Int) async throws {
        try await StoreFixture.with { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            let session = try await fixture.session(key)
            fixture.servers[servers[position]].kill()
            #expect(await fixture.save(session, key, "two").isSaved)
            #expect(await fixture.text(key) == "two")
        }
    }

    @Test func aServerThatComesBackEmptyIsFilledBeforeItCounts() async throws {
        try await StoreFixture.with { fixture in
            var keys: [(key: SessionKey, servers: [Int])] = []
            for number in 0..<60 {
                let fresh = await fixture.freshKey()
                #expect(await fixture.create(fresh.key, "session \(number)").isSaved)
                keys.append(fresh)
            }
            // Each server in turn forgets all, is walked for, and then another one dies: nobody looked meanwhile.
            for server in 0..<3 {
                try await fixture.servers[server].restart()
                try await fixture.waitUntilComplete()
                for (key, servers) in keys where servers.prefix(2).contains(server) {
                    #expect(try fixture.copies(key).contains(server))
                }
            }
            fixture.servers[1].kill()
            for (number, (key, _)) in keys.enumerated() {
                #expect(await fixture.text(key) == "session \(number)")
            }
        }
    }

    @Test func anOldCopyNeverWins() async throws {
        try await StoreFixture.with { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "old").isSaved)
            try fixture.servers[servers[0]].freeze()
            // Found out by the first operation that times out.
            let session = try await fixture.session(key)
            #expect(await fixture.save(session, key, "new").isSaved)
            try fixture.servers[servers[0]].thaw()
            try await fixture.waitUntilComplete()
            fixture.servers[servers[1]].kill()
            #expect(await fixture.text(key) == "new")
        }
    }

    @Test func aLogoutSurvivesAServerThatComesBackWithTheSession() async throws {
        try await StoreFixture.with { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "signed in").isSaved)
            try fixture.servers[servers[0]].freeze()
            #expect(await fixture.destroy(key) == .destroyed)
            try fixture.servers[servers[0]].thaw()
            try await fixture.waitUntilComplete()
            #expect(await fixture.text(key) == nil)
            fixture.servers[servers[1]].kill()
            #expect(await fixture.text(key) == nil)
        }
    }

    @Test func withTwoServersOneAwayIsDegradedAndNothingIsPromised() async throws {
        try await StoreFixture.with(servers: 2) { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            fixture.servers[servers[0]].kill()
            let session = try await fixture.session(key)
            #expect(session.isDegraded)
            #expect(await fixture.save(session, key, "two").isDegraded)
            #expect(await fixture.text(key) == "two")
            try await fixture.servers[servers[0]].start()
            try await fixture.waitUntilComplete()
            let healed = try await fixture.session(key)
            #expect(!healed.isDegraded)
            #expect(String(buffer: healed.payload) == "two")
        }
    }

    @Test func whereDegradedServiceIsRefusedNothingIsServed() async throws {
        try await StoreFixture.with(servers: 2, adjust: { $0.servesDegraded = false }) { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            fixture.servers[servers[0]].kill()
            #expect(await fixture.load(key).isUnavailable)
        }
    }

    @Test func withAllServersDownTheAnswerComesInTime() async throws {
        try await StoreFixture.with { fixture in
            let (key, _) = await fixture.freshKey()
            #expect(await fixture.create(key, "one").isSaved)
            for server in fixture.servers {
                server.kill()
            }
            let start = ContinuousClock.now
            #expect(await fixture.load(key).isUnavailable)
            #expect(ContinuousClock.now - start < .seconds(2.5))
        }
    }

    /// Records that are cut, foreign or of another key are never handed out, and are repaired from the other copy.
    @Test(arguments: [
        "garbage", "SG", "",
        "SG\u{1}\u{0}and then something that is long enough to be a header, at least 107 bytes of it, as one can count if one likes",
    ])
    func aCopyThatDoesNotDecodeIsRepaired(_ value: String) async throws {
        try await StoreFixture.with { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "good").isSaved)
            let name = String(decoding: key.bytes, as: UTF8.self)
            let answer = try fixture.servers[servers[0]].command("ms \(name) \(value.utf8.count)\r\n\(value)")
            #expect(answer.hasPrefix("HD"))
            #expect(await fixture.text(key) == "good")
            #expect(fixture.counters.snapshot.corruptCopies >= 1)
            fixture.servers[servers[1]].kill()
            #expect(await fixture.text(key) == "good")
        }
    }

    @Test func sitesDoNotSeeEachOthersSessions() async throws {
        try await StoreFixture.with { fixture in
            var random = SystemRandom()
            let id = SessionID.generate(using: &random)
            let key = await fixture.onLoop { $0.key(for: id) }
            #expect(await fixture.create(key, "mine").isSaved)
            let other = try #require(SessionKeyspace(prefix: "sg:", site: "other")).key(for: id)
            #expect(other.bytes != key.bytes)
            #expect(await fixture.text(other) == nil)
        }
    }

    @Test func aValueThatMemcachedRefusesLosesNothing() async throws {
        try await StoreFixture.with { fixture in
            let (key, _) = await fixture.freshKey()
            #expect(await fixture.create(key, "small").isSaved)
            let session = try await fixture.session(key)
            // The servers take 4 MiB.
            let outcome = await fixture.save(session, key, String(repeating: "x", count: 5_000_000))
            #expect(!outcome.isSaved)
            #expect(await fixture.text(key) == "small")
        }
    }
}
