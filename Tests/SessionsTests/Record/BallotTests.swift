import Testing

@testable import Sessions

struct BallotTests {
    @Test func ballotsAreComparedByRoundThenClassThenDepthThenAttempt() {
        let ascending: [Ballot] = [
            .none,
            Ballot(round: 1, ballotClass: .fast, attempt: 1),
            Ballot(round: 1, ballotClass: .fast, attempt: .max),
            Ballot(round: 1, ballotClass: .fast, depth: 1, attempt: 0),
            Ballot(round: 1, ballotClass: .fast, depth: .max, attempt: .max),
            Ballot(round: 1, ballotClass: .slow, attempt: 0),
            Ballot(round: 1, ballotClass: .slow, attempt: 7),
            Ballot(round: 2, ballotClass: .fast, attempt: 0),
            Ballot(round: .max, ballotClass: .slow, depth: .max, attempt: .max),
        ]
        for (left, lower) in ascending.enumerated() {
            for (right, higher) in ascending.enumerated() {
                #expect((lower < higher) == (left < right))
                #expect((lower == higher) == (left == right))
            }
        }
    }

    @Test func aDegradedBallotFollowsAFastOneInItsRoundAndASlowOneInTheNext() throws {
        let fast = Ballot(round: 4, ballotClass: .fast, attempt: 9)
        let onFast = try #require(fast.nextDegraded(random: 3))
        #expect(onFast == Ballot(round: 4, ballotClass: .fast, depth: 1, attempt: 3))
        #expect(onFast > fast)
        let slow = Ballot(round: 4, ballotClass: .slow, attempt: 9)
        #expect(slow.nextDegraded(random: 3) == Ballot(round: 5, ballotClass: .fast, depth: 1, attempt: 3))
        #expect(onFast.nextDegraded(random: 1) == Ballot(round: 4, ballotClass: .fast, depth: 2, attempt: 1))
        #expect(Ballot(round: .max, ballotClass: .slow, attempt: 9).nextDegraded(random: 3) == nil)
    }

    @Test func moreDegradedWritesThanDepthsStillRise() throws {
        var ballot = Ballot(round: 1, ballotClass: .fast, attempt: 9)
        for number in 0..<1_000 as Range<UInt64> {
            let next = try #require(ballot.nextDegraded(random: number &* 0x9E37_79B9_7F4A_7C15))
            #expect(next > ballot)
            #expect(next < Ballot(round: 1, ballotClass: .slow, attempt: 0))
            ballot = next
        }
        let last = Ballot(round: 1, ballotClass: .fast, depth: .max, attempt: .max)
        #expect(last.nextDegraded(random: 0) == nil)
    }
}
