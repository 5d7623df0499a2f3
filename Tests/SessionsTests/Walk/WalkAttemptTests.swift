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
            self.attempt.listed(isDone: true, Self.conditions)
                == .confirm(source: 0, on: ConnectionIdentity(number: 1))
        )
        #expect(self.attempt.confirmed(isAlive: true, Self.conditions) == .list(source: 2))
        #expect(
            self.attempt.listed(isDone: true, Self.conditions)
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
        _ = self.attempt.listed(isDone: true, Self.conditions)
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
        #expect(self.attempt.listed(isDone: false, Self.conditions) == .finish(.interrupted))
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
                #expect(attempt.listed(isDone: true, changed) == .finish(.overtaken))
                continue
            }
            _ = attempt.listed(isDone: true, Self.conditions)
            #expect(attempt.confirmed(isAlive: true, changed) == .finish(.overtaken))
        }
    }

    @Test mutating func whereTooManyHaveForgottenWhatIsLeftIsWalkedAndTheLossAccepted() {
        let conditions = [ServerCondition.incomplete(ConnectionIdentity(number: 1)), .incomplete(Self.connection)]
        var attempt = WalkAttempt(for: 0, on: ConnectionIdentity(number: 1), redundancy: 2)
        #expect(attempt.waited(conditions) == .takeLease)
        #expect(attempt.acceptsLoss)
        #expect(attempt.leaseAnswered(isTaken: true, conditions) == .mark(on: ConnectionIdentity(number: 1)))
        #expect(self.attempt.waited(conditions) == .pause)
        #expect(attempt.marked(isThere: false) == .finish(.interrupted))

        // In a larger pool others may know what only this one and they should.
        let others = Self.conditions + [.incomplete(ConnectionIdentity(number: 4))]
        #expect(self.attempt.waited(others) == .takeLease)
        #expect(self.attempt.acceptsLoss)
        #expect(self.attempt.leaseAnswered(isTaken: true, others) == .list(source: 0))
    }
}
