import Testing

@testable import Sessions

struct WalkPlanTests {
    private static let up = ServerCondition.complete(ConnectionIdentity(number: 1))
    private static let forgetful = ServerCondition.incomplete(ConnectionIdentity(number: 2))

    private func plan(_ server: Int, _ conditions: [ServerCondition], redundancy: Int = 2) -> WalkPlan {
        WalkPlan(for: server, conditions: conditions, redundancy: redundancy)
    }

    @Test func aServerIsFilledFromAllThatAreComplete() {
        #expect(self.plan(1, [Self.up, Self.forgetful, Self.up]) == .walk(sources: [0, 2]))
        #expect(
            self.plan(0, [Self.forgetful, .down, Self.up, Self.up, Self.up], redundancy: 3)
                == .walk(sources: [2, 3, 4])
        )
    }

    @Test func whileAnotherIsDownThatMayRememberItWaits() {
        #expect(self.plan(0, [Self.forgetful, .down, Self.up]) == .wait)
        #expect(self.plan(0, [Self.forgetful, Self.forgetful, .down]) == .wait)
    }

    @Test func whereNoneIsLeftThatRemembersTheFirstOneBegins() {
        #expect(self.plan(0, [Self.forgetful, Self.forgetful, Self.forgetful]) == .acceptLoss(sources: []))
        #expect(self.plan(1, [Self.forgetful, Self.forgetful, Self.forgetful]) == .wait)
        // The first has been accepted as it is: the second still meets too few that know.
        #expect(self.plan(1, [Self.up, Self.forgetful, Self.forgetful]) == .acceptLoss(sources: [0]))
        #expect(self.plan(2, [Self.up, Self.up, Self.forgetful]) == .walk(sources: [0, 1]))
    }

    @Test func aSoleHolderHasNobodyToBeFilledFrom() {
        #expect(self.plan(0, [Self.forgetful, .down], redundancy: 1) == .acceptLoss(sources: []))
        #expect(self.plan(0, [Self.forgetful], redundancy: 1) == .acceptLoss(sources: []))
        #expect(self.plan(0, [Self.forgetful]) == .walk(sources: []))
    }
}
