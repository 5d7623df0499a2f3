import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Store

/// The two lifetimes apart from each other, on real memcacheds. memcached's own clock ticks once a second: what it is told
/// to keep for T seconds lives between T - 1 and T.
@Suite struct SessionExpiryTests {
    /// When the session was last there, and when it was first gone, in seconds.
    private func end(_ fixture: StoreFixture, _ key: SessionKey, from start: ContinuousClock.Instant) async throws
        -> (last: Double, gone: Double)
    {
        var last = 0.0
        while true {
            let before = ContinuousClock.now
            guard await fixture.text(key) != nil else {
                return (last, (ContinuousClock.now - start) / .seconds(1))
            }
            last = (before - start) / .seconds(1)
            try await Task.sleep(for: .milliseconds(100))
            try #require(last < 30)
        }
    }

    @Test func theAbsoluteLifetimeEndsWhateverIsReadAndWritten() async throws {
        try await StoreFixture.with {
            $0.idleLifetime = .seconds(3_600)
            $0.absoluteLifetime = .seconds(4)
        } _: { fixture in
            let key = await fixture.freshKey().key
            let start = ContinuousClock.now
            #expect(await fixture.create(key, "0").isSaved)
            let created = ContinuousClock.now
            // Saves keep the deadline: it is the session's.
            for change in 1...4 {
                let session = try await fixture.session(key)
                #expect(await fixture.save(session, key, "\(change)").isSaved)
                try await Task.sleep(for: .milliseconds(500))
            }
            let (last, gone) = try await self.end(fixture, key, from: start)
            let slack = (ContinuousClock.now - start) / .seconds(1) - gone + (created - start) / .seconds(1)
            // memcached rounds to its ticks, and the gateway's deadline is exact: never later, at most a second earlier.
            #expect(last <= 4 + slack && last > 2.7, "last there at \(last)")
            #expect(gone < 4.5 + slack, "gone at \(gone)")
        }
    }

    @Test func theIdleLifetimeStartsAnewWithEveryRead() async throws {
        try await StoreFixture.with {
            $0.idleLifetime = .seconds(3)
            $0.absoluteLifetime = .seconds(3_600)
        } _: { fixture in
            let (read, unread) = (await fixture.freshKey().key, await fixture.freshKey().key)
            for key in [read, unread] { #expect(await fixture.create(key, "here").isSaved) }
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(6) {
                #expect(await fixture.text(read) == "here")
                try await Task.sleep(for: .milliseconds(300))
            }
            #expect(await fixture.text(unread) == nil)
            try await Task.sleep(for: .milliseconds(3_100))
            #expect(await fixture.text(read) == nil)
        }
    }

    @Test func noCopyIsToldToLiveLongerThanTheGreatestAge() async throws {
        try await StoreFixture.with {
            $0.idleLifetime = .seconds(40 * 86_400)
            $0.absoluteLifetime = .seconds(60 * 86_400)
            $0.maximumItemAge = .seconds(7_200)
        } _: { fixture in
            let key = await fixture.freshKey().key
            #expect(await fixture.create(key, "0").isSaved)
            #expect(
                try self.left(fixture, key).count == 2
                    && self.left(fixture, key).allSatisfy { (7_190...7_200).contains($0) }
            )
            let session = try await fixture.session(key)
            #expect(await fixture.save(session, key, "1").isSaved)
            #expect(await fixture.text(key) == "1")
            #expect(
                try self.left(fixture, key).count == 2
                    && self.left(fixture, key).allSatisfy { (7_190...7_200).contains($0) }
            )
        }
    }

    @Test func aServerThatIsRefilledGivesNoSessionMoreTime() async throws {
        try await StoreFixture.with {
            $0.idleLifetime = .seconds(1_440)
        } _: { fixture in
            let (key, servers) = await fixture.freshKey()
            #expect(await fixture.create(key, "0").isSaved)
            let name = String(decoding: key.bytes, as: UTF8.self)
            // As if twenty minutes had passed.
            for index in try fixture.copies(key) { _ = try fixture.servers[index].command("mg \(name) T240") }
            try await fixture.servers[servers[0]].restart()
            try await fixture.waitUntilComplete()
            // A third server may keep a promise, which holds no session and lives for an hour.
            try await Eventually.holds(within: .seconds(20), "both copies") { try self.left(fixture, key).count >= 2 }
            #expect(try self.left(fixture, key).filter { $0 != 3_600 }.allSatisfy { (1...240).contains($0) })
            #expect(try self.left(fixture, key).count { $0 != 3_600 } == 2)
        }
    }

    /// The seconds that memcached gives each item of the session.
    private func left(_ fixture: StoreFixture, _ key: SessionKey) throws -> [Int] {
        try fixture.copies(key).map { index in
            let answer = try fixture.servers[index].command("mg \(String(decoding: key.bytes, as: UTF8.self)) t")
            return Int(answer.split(separator: " ").last?.dropFirst().prefix { $0.isNumber } ?? "") ?? -1
        }
    }
}
