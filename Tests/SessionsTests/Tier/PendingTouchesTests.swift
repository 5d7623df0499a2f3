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
        touches.seen(key, expires: 10)
        touches.seen(key, expires: 30)
        touches.seen(key, expires: 20)
        #expect(touches.expiry(of: key) == 30)
        touches.forget(key)
        #expect(touches.expiry(of: key) == nil)
    }

    @Test func whatSlidWhileItWasWrittenIsWrittenAgain() throws {
        let (first, second) = (try Self.key(1), try Self.key(2))
        var touches = PendingTouches()
        touches.seen(first, expires: 10)
        touches.seen(second, expires: 10)
        let batch = touches.batch(limit: 10)
        #expect(batch.count == 2)
        touches.seen(second, expires: 15)
        touches.written(batch)
        #expect(touches.count == 1)
        #expect(touches.expiry(of: second) == 15)
    }

    @Test func beyondTheLimitASessionKeepsTheDatabasesExpiry() throws {
        var touches = PendingTouches()
        for number in 0..<PendingTouches.limit { touches.seen(try Self.key(number), expires: 10) }
        #expect(touches.isFull)
        touches.seen(try Self.key(-1), expires: 10)
        #expect(touches.expiry(of: try Self.key(-1)) == nil)
        touches.seen(try Self.key(0), expires: 20)
        #expect(touches.expiry(of: try Self.key(0)) == 20)
    }
}
