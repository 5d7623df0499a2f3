import Testing

@testable import Sessions

struct PositionsTests {
    @Test func aSetHoldsWhatWasPutInUntilItIsTakenOut() {
        var positions: Positions = []
        #expect(positions.isEmpty)
        for position in 0..<16 {
            positions.insert(position)
            #expect(positions.contains(position))
            #expect(positions.count == position + 1)
        }
        #expect(positions == .first(16))
        for position in 0..<16 {
            positions.remove(position)
            #expect(!positions.contains(position))
        }
        #expect(positions.isEmpty)
    }

    @Test func iterationIsInRingOrder() {
        #expect(Array([5, 0, 15, 3] as Positions) == [0, 3, 5, 15])
        #expect(Array([] as Positions).isEmpty)
    }

    @Test func aPositionBeyondTheSixteenthIsInNoSet() {
        var positions: Positions = [1]
        positions.insert(16)
        positions.insert(-1)
        #expect(positions == [1])
        #expect(!Positions.first(16).contains(16))
        #expect(!Positions.first(16).contains(-1))
    }

    @Test(arguments: 0...16)
    func theFirstPositionsAreThoseBelowTheCount(count: Int) {
        #expect(Array(Positions.first(count)) == Array(0..<count))
    }

    @Test func prefixTakesTheFirstInRingOrder() {
        let positions: Positions = [1, 4, 7]
        let two: Positions = positions.prefix(2)
        let all: Positions = positions.prefix(9)
        let none: Positions = positions.prefix(0)
        #expect(two == [1, 4])
        #expect(all == positions)
        #expect(none == [])
    }

    @Test func setsAreUnitedSubtractedAndCompared() {
        let left: Positions = [0, 1]
        let right: Positions = [1, 2]
        #expect(left.union(right) == [0, 1, 2])
        #expect(left.subtracting(right) == [0])
        #expect(!left.isDisjoint(with: right))
        #expect(left.isDisjoint(with: [2, 3]))
    }

    @Test(arguments: [
        // redundancy, servers, r, n, q
        (1, 1, 1, 1, 1), (1, 5, 1, 1, 1), (2, 1, 1, 1, 1), (2, 2, 2, 2, 1), (2, 3, 2, 3, 2), (2, 9, 2, 3, 2),
        (3, 3, 3, 3, 1), (3, 4, 3, 4, 2), (3, 5, 3, 5, 3), (8, 20, 8, 15, 8), (20, 20, 8, 15, 8), (0, 3, 1, 1, 1),
    ])
    func aQuorumMeetsTheHoldersOfEveryRecord(redundancy: Int, servers: Int, r: Int, n: Int, q: Int) {
        let set = ReplicaLayout(redundancy: redundancy, servers: servers, placement: 0)
        #expect(set.redundancy == r)
        #expect(set.count == n)
        #expect(set.quorum == q)
        #expect(set.quorum + set.redundancy > set.count)
        #expect(set.all.count == n)
    }
}
