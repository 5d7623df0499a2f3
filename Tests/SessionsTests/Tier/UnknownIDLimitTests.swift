import NIOCore
import Testing

@testable import Sessions

struct UnknownIDLimitTests {
    private static func client(_ number: Int) -> ByteBufferView {
        ByteBuffer(string: "10.0.0.\(number)").readableBytesView
    }

    /// One after the other, all unknown.
    private static func admitted(
        _ limit: inout UnknownIDLimit,
        _ client: ByteBufferView?,
        of attempts: Int,
        at now: UInt64
    ) -> Int {
        var count = 0
        for _ in 0..<attempts {
            guard let look = limit.admit(client, at: now) else { continue }
            limit.settle(look, isKnown: false, at: now)
            count += 1
        }
        return count
    }

    /// All at once.
    private static func looks(
        _ limit: inout UnknownIDLimit,
        _ client: ByteBufferView?,
        of attempts: Int,
        at now: UInt64
    ) -> [UnknownIDLimit.Look] {
        var looks: [UnknownIDLimit.Look] = []
        for _ in 0..<attempts {
            if let look = limit.admit(client, at: now) { looks.append(look) }
        }
        return looks
    }

    @Test func anAddressMayAskForSoManyASecond() {
        var limit = UnknownIDLimit(perSecond: 10)
        #expect(Self.admitted(&limit, Self.client(1), of: 100, at: 1_000) == 20)
        #expect(Self.admitted(&limit, Self.client(1), of: 100, at: 1_500) == 5)
        #expect(Self.admitted(&limit, Self.client(1), of: 100, at: 9_000) == 20)
        // A clock that goes back gives nothing.
        #expect(Self.admitted(&limit, Self.client(1), of: 100, at: 8_000) == 0)
    }

    @Test func whatIsKnownCostsNothing() {
        var limit = UnknownIDLimit(perSecond: 1)
        for _ in 0..<100 {
            let looks = Self.looks(&limit, Self.client(1), of: 100, at: 1_000)
            #expect(looks.count == 5)
            for look in looks { limit.settle(look, isKnown: true, at: 1_000) }
        }
    }

    @Test func whatIsUnderWayCountsForWhoHasGuessedLately() {
        var limit = UnknownIDLimit(perSecond: 10)
        #expect(Self.admitted(&limit, Self.client(1), of: 5, at: 1_000) == 5)
        let looks = Self.looks(&limit, Self.client(1), of: 100, at: 1_000)
        #expect(looks.count == 15)
        for look in looks.prefix(10) { limit.settle(look, isKnown: true, at: 1_000) }
        #expect(Self.looks(&limit, Self.client(1), of: 100, at: 1_000).count == 10)
    }

    @Test func manyAtOnceAreSpentInAdvance() {
        var limit = UnknownIDLimit(perSecond: 10)
        let looks = Self.looks(&limit, Self.client(1), of: 10_000, at: 1_000)
        #expect(looks.count == 50)
        for look in looks { limit.settle(look, isKnown: false, at: 1_000) }
        // 50 were asked for, 20 were there: 30 come in three seconds.
        #expect(Self.admitted(&limit, Self.client(1), of: 100, at: 4_050) == 0)
        #expect(Self.admitted(&limit, Self.client(1), of: 100, at: 4_150) == 1)
        #expect(Self.looks(&limit, Self.client(1), of: 10_000, at: 5_150).count == 10)
    }

    @Test func addressesDoNotTakeFromEachOther() {
        var limit = UnknownIDLimit(perSecond: 10)
        _ = Self.admitted(&limit, Self.client(1), of: 100, at: 1_000)
        #expect(Self.admitted(&limit, Self.client(2), of: 100, at: 1_000) == 20)
        #expect(Self.admitted(&limit, nil, of: 100, at: 1_000) == 20)
    }

    @Test func manyAddressesAreLimitedTogether() throws {
        var limit = UnknownIDLimit(perSecond: 10)
        let admitted = limit.admit(Self.client(0), at: 1_000)
        let underWay = try #require(admitted)
        for number in 1..<UnknownIDLimit.maximumAddresses {
            _ = Self.admitted(&limit, Self.client(number), of: 1, at: 1_000)
        }
        let newcomers = 100_000..<105_000
        #expect(newcomers.reduce(0) { $0 + Self.admitted(&limit, Self.client($1), of: 1, at: 1_001) } == 20)
        // Whose look is under way is not forgotten.
        limit.settle(underWay, isKnown: false, at: 1_001)
        #expect(Self.admitted(&limit, Self.client(0), of: 100, at: 1_001) == 19)
    }
}
