import NIOCore
import Testing

@testable import Sessions

struct UnknownIDLimitTests {
    private static func client(_ number: Int) -> ByteBufferView {
        ByteBuffer(string: "10.0.0.\(number)").readableBytesView
    }

    private static func admitted(
        _ limit: inout UnknownIDLimit,
        _ client: ByteBufferView?,
        of attempts: Int,
        at now: UInt64
    ) -> Int {
        var count = 0
        for _ in 0..<attempts where limit.admits(client, at: now) {
            limit.charge(client, at: now)
            count += 1
        }
        return count
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
        var admitted = 0
        for _ in 0..<100 where limit.admits(Self.client(1), at: 1_000) { admitted += 1 }
        #expect(admitted == 100)
    }

    @Test func addressesDoNotTakeFromEachOther() {
        var limit = UnknownIDLimit(perSecond: 10)
        _ = Self.admitted(&limit, Self.client(1), of: 100, at: 1_000)
        #expect(Self.admitted(&limit, Self.client(2), of: 100, at: 1_000) == 20)
        #expect(Self.admitted(&limit, nil, of: 100, at: 1_000) == 20)
    }

    @Test func manyAddressesAreLimitedTogether() {
        var limit = UnknownIDLimit(perSecond: 10)
        for number in 0..<UnknownIDLimit.maximumAddresses { limit.charge(Self.client(number), at: 1_000) }
        let admitted = (0..<5_000).reduce(0) { $0 + Self.admitted(&limit, Self.client(100_000 + $1), of: 1, at: 1_001) }
        #expect(admitted == 20)
    }
}
