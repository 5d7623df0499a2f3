import Testing

@testable import Sessions

struct WalkAttemptTests {
    private static let connection = ConnectionIdentity(number: 2)
    private static let conditions: [ServerCondition] = [
        .complete(ConnectionIdentity(number: 1)), .incomplete(Self.connection),
        .complete(ConnectionIdentity(number: 3)),
    ]

    private var attempt = WalkAttempt(for: 1, on: Self.connection, redundancy: 2)

    @Test mutating func itSettlesListsEverySourceAndMarks() {
        #expect(self.attempt.start() == .settle)
        #expect(self.attempt.waited(Self.conditions) == .takeLease)
        #expect(self.attempt.leaseAnswered(isTaken: true, Self.conditions) == .list(source: 0))
        #expect(
            self.attempt.listed(isDone: true, lost: 0, Self.conditions)
                == .confirm(source: 0, on: ConnectionIdentity(number: 1))
        )
        #expect(self.attempt.confirmed(isAlive: true, Self.conditions) == .list(source: 2))
        #expect(
            self.attempt.listed(isDone: true, lost: 0, Self.conditions)
                == .confirm(source: 2, on: ConnectionIdentity(number: 3))
        )
        #expect(self.attempt.confirmed(isAlive: true, Self.conditions) == .mark(on: Self.connection))
        #expect(self.attempt.marked(isThere: true) == .finish(.complete))
        #expect(!self.attempt.acceptsLoss)
    }

    /// With r = 3, one server forgotten, one behind a partition that still remembers, and the source restarted after
    /// the plan was made: fewer than r have failed, and what the source lists is not enough.
    @Test mutating func aSourceThatRestartedWhileItWasListedDoesNotCount() {
        _ = self.attempt.waited(Self.conditions)
        _ = self.attempt.leaseAnswered(isTaken: true, Self.conditions)
        _ = self.attempt.listed(isDone: true, lost: 0, Self.conditions)
        #expect(self.attempt.confirmed(isAlive: false, Self.conditions) == .finish(.interrupted))
    }

    @Test mutating func withoutTheLeaseItLooksAgain() {
        _ = self.attempt.waited(Self.conditions)
        #expect(self.attempt.leaseAnswered(isTaken: false, Self.conditions) == .pause)
        #expect(self.attempt.waited(Self.conditions) == .takeLease)
    }

    @Test mutating func aSessionThatCouldNotBeChosenAnewFailsTheAttempt() {
        _ = self.attempt.waited(Self.conditions)
        _ = self.attempt.leaseAnswered(isTaken: true, Self.conditions)
        #expect(self.attempt.listed(isDone: false, lost: 0, Self.conditions) == .finish(.interrupted))
    }

    @Test(arguments: [
        ServerCondition.down, .complete(Self.connection), .incomplete(ConnectionIdentity(number: 9)),
    ])
    mutating func anotherConnectionOrAnotherGatewayEndsTheAttempt(condition: ServerCondition) {
        var changed = Self.conditions
        changed[1] = condition
        #expect(self.attempt.waited(changed) == .finish(.overtaken))
        for answers in 0..<3 {
            var attempt = WalkAttempt(for: 1, on: Self.connection, redundancy: 2)
            _ = attempt.waited(Self.conditions)
            if answers == 0 {
                #expect(attempt.leaseAnswered(isTaken: true, changed) == .finish(.overtaken))
                continue
            }
            _ = attempt.leaseAnswered(isTaken: true, Self.conditions)
            if answers == 1 {
                #expect(attempt.listed(isDone: true, lost: 0, changed) == .finish(.overtaken))
                continue
            }
            _ = attempt.listed(isDone: true, lost: 0, Self.conditions)
            #expect(attempt.confirmed(isAlive: true, changed) == .finish(.overtaken))
        }
    }

    @Test mutating func whereTooManyHaveForgottenWhatIsLeftIsWalkedAndTheLossAccepted() {
        let conditions = Self.conditions + [.incomplete(ConnectionIdentity(number: 4))]
        #expect(self.attempt.waited(conditions) == .takeLease)
        #expect(self.attempt.acceptsLoss)
        #expect(self.attempt.leaseAnswered(isTaken: true, conditions) == .list(source: 0))
        _ = self.attempt.listed(isDone: true, lost: 0, conditions)
        _ = self.attempt.confirmed(isAlive: true, conditions)
        _ = self.attempt.listed(isDone: true, lost: 1, conditions)
        let forgetting = WalkAttempt.Step.confirmForgetting(server: 3, on: ConnectionIdentity(number: 4))
        #expect(self.attempt.confirmed(isAlive: true, conditions) == forgetting)
        var other = self.attempt
        #expect(self.attempt.forgetting(isConfirmed: true, conditions) == .mark(on: Self.connection))
        // Another gateway has filled it, and this one had not heard of that.
        #expect(other.forgetting(isConfirmed: false, conditions) == .finish(.interrupted))
    }

    @Test mutating func aLossIsNotAcceptedOnceTheConditionsHaveChanged() {
        _ = self.attempt.waited(Self.conditions)
        _ = self.attempt.leaseAnswered(isTaken: true, Self.conditions)
        _ = self.attempt.listed(isDone: true, lost: 1, Self.conditions)
        #expect(self.attempt.acceptsLoss)
        _ = self.attempt.confirmed(isAlive: true, Self.conditions)
        _ = self.attempt.listed(isDone: true, lost: 0, Self.conditions)
        var changed = Self.conditions
        changed[0] = .complete(ConnectionIdentity(number: 8))
        #expect(self.attempt.confirmed(isAlive: true, changed) == .finish(.interrupted))
    }

    @Test func aSoleHolderIsMarkedAtOnce() {
        let conditions = [ServerCondition.incomplete(Self.connection), .down]
        var attempt = WalkAttempt(for: 0, on: Self.connection, redundancy: 1)
        _ = attempt.waited(conditions)
        #expect(attempt.leaseAnswered(isTaken: true, conditions) == .mark(on: Self.connection))
        #expect(attempt.acceptsLoss)
        #expect(attempt.marked(isThere: false) == .finish(.interrupted))
    }
}
