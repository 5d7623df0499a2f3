import Testing

@testable import Store

struct WalkPlanTests {
    @Test func aServerIsFilledFromAllThatAreComplete() {
        #expect(
            WalkPlan(for: 1, conditions: [.complete, .incomplete, .complete], redundancy: 2) == .walk(sources: [0, 2])
        )
        #expect(
            WalkPlan(for: 0, conditions: [.incomplete, .down, .complete, .complete, .complete], redundancy: 3)
                == .walk(sources: [2, 3, 4])
        )
    }

    @Test func whileAnotherIsDownThatMayRememberItWaits() {
        #expect(WalkPlan(for: 0, conditions: [.incomplete, .down, .complete], redundancy: 2) == .wait)
        #expect(WalkPlan(for: 0, conditions: [.incomplete, .incomplete, .down], redundancy: 2) == .wait)
    }

    @Test func whereNoneIsLeftThatRemembersTheFirstOneBegins() {
        #expect(WalkPlan(for: 0, conditions: [.incomplete, .incomplete, .incomplete], redundancy: 2) == .acceptLoss)
        #expect(WalkPlan(for: 1, conditions: [.incomplete, .incomplete, .incomplete], redundancy: 2) == .wait)
        // The first has been accepted as it is: the second still meets too few that know.
        #expect(WalkPlan(for: 1, conditions: [.complete, .incomplete, .incomplete], redundancy: 2) == .acceptLoss)
        #expect(
            WalkPlan(for: 2, conditions: [.complete, .complete, .incomplete], redundancy: 2) == .walk(sources: [0, 1])
        )
    }

    @Test func aSoleHolderHasNobodyToBeFilledFrom() {
        #expect(WalkPlan(for: 0, conditions: [.incomplete, .down], redundancy: 1) == .acceptLoss)
        #expect(WalkPlan(for: 0, conditions: [.incomplete], redundancy: 1) == .acceptLoss)
        #expect(WalkPlan(for: 0, conditions: [.incomplete], redundancy: 2) == .walk(sources: []))
    }
}
