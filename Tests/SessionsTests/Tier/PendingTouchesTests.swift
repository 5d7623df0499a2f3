import Testing

@testable import Sessions

struct PendingTouchesTests {
    private static func key(_ number: Int) throws -> SessionKey {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        let text = "session-number-\(number)-and-more"
        return keyspace.key(for: try #require(SessionID(text)))
    }

    @Test func theLatestExpiryCounts() throws {
        let key = try Self.key(1)
        var touches = PendingTouches()
        touches.seen(key, expires: 10, at: 1)
        touches.seen(key, expires: 30, at: 1)
        touches.seen(key, expires: 20, at: 1)
        #expect(touches.expiry(of: key) == 30)
        touches.forget(key)
        #expect(touches.expiry(of: key) == nil)
    }

    @Test func whatSlidWhileItWasWrittenIsWrittenAgain() throws {
        let (first, second) = (try Self.key(1), try Self.key(2))
        var touches = PendingTouches()
        touches.seen(first, expires: 10, at: 1)
        touches.seen(second, expires: 10, at: 1)
        let batch = touches.batch(limit: 10)
        #expect(batch.count == 2)
        touches.seen(second, expires: 15, at: 1)
        touches.written(batch)
        #expect(touches.count == 1)
        #expect(touches.expiry(of: second) == 15)
    }

    @Test func theNewestVersionThatWasReadGoesWithIt() throws {
        let key = try Self.key(1)
        var touches = PendingTouches()
        touches.seen(key, expires: 10, newest: 7, at: 1)
        touches.seen(key, expires: 10, newest: 5, at: 1)
        let batch = touches.batch(limit: 10)
        #expect(batch.map(\.newest) == [7])
        // In the same millisecond, and yet it is to be told.
        touches.seen(key, expires: 10, newest: 8, at: 1)
        touches.written(batch)
        #expect(touches.batch(limit: 10).map(\.newest) == [8])
        touches.written(touches.batch(limit: 10))
        #expect(touches.count == 0)
    }

    @Test func aPassEndsHoweverManySessionsSlideBesideIt() throws {
        let keys = try (0..<10).map { try Self.key($0) }
        var touches = PendingTouches()
        for key in keys { touches.seen(key, expires: 10, at: 1) }
        let pass = touches.pass(by: 4)
        #expect(pass.map(\.count) == [4, 4, 2])
        #expect(Set(pass.joined().map(\.key)) == Set(keys))
        for (round, batch) in pass.enumerated() {
            touches.written(batch)
            // All of them again, and one more.
            for key in keys + [try Self.key(100 + round)] { touches.seen(key, expires: 20 + UInt64(round), at: 5) }
        }
        #expect(touches.count == 13)
        for batch in touches.pass(by: 256) { touches.written(batch) }
        #expect(touches.count == 0 && touches.pass(by: 4).isEmpty)
    }

    @Test func theLagIsThatOfTheOneThatHasWaitedLongest() throws {
        var touches = PendingTouches()
        #expect(touches.lag(at: 100) == 0)
        touches.seen(try Self.key(1), expires: 1_000, at: 10)
        touches.seen(try Self.key(2), expires: 1_000, at: 50)
        touches.seen(try Self.key(1), expires: 2_000, at: 60)
        #expect(touches.lag(at: 100) == 90)
        touches.forget(try Self.key(1))
        #expect(touches.lag(at: 100) == 50)
        // A clock that was set back.
        #expect(touches.lag(at: 5) == 0)
    }

    @Test func beyondTheLimitASessionKeepsTheDatabasesExpiry() throws {
        var touches = PendingTouches()
        for number in 0..<PendingTouches.limit { touches.seen(try Self.key(number), expires: 10, at: 1) }
        #expect(touches.isFull)
        touches.seen(try Self.key(-1), expires: 10, at: 1)
        #expect(touches.expiry(of: try Self.key(-1)) == nil)
        touches.seen(try Self.key(0), expires: 20, at: 1)
        #expect(touches.expiry(of: try Self.key(0)) == 20)
    }
}
