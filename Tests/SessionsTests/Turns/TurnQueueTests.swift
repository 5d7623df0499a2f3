import Testing

@testable import Sessions

struct TurnQueueTests {
    private let first: SessionKey
    private let second: SessionKey

    init() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        var random = SystemRandom()
        self.first = keyspace.key(for: SessionID.generate(using: &random))
        self.second = keyspace.key(for: SessionID.generate(using: &random))
    }

    /// - Returns: nil where the queue is full.
    private func ticket(_ answer: TurnQueue.Answer) -> TurnQueue.Ticket? {
        switch answer {
        case .granted(let ticket), .waiting(let ticket): ticket
        case .full: nil
        }
    }

    @Test func requestsOfOneSessionComeInTheirOrder() throws {
        var queue = TurnQueue(maximumWaiting: 6)
        let tickets = try (0..<4).map { _ in try #require(self.ticket(queue.enter(self.first))) }
        #expect(queue.isHolder(tickets[0], of: self.first))
        #expect(tickets.dropFirst().allSatisfy { queue.isWaiting($0, for: self.first) })
        for number in 0..<3 {
            #expect(queue.leave(self.first, tickets[number]) == tickets[number + 1])
            #expect(queue.isHolder(tickets[number + 1], of: self.first))
        }
        #expect(queue.leave(self.first, tickets[3]) == nil)
        #expect(queue.count == 0)
    }

    @Test func sessionsDoNotWaitForEachOther() throws {
        var queue = TurnQueue(maximumWaiting: 0)
        let mine = try #require(self.ticket(queue.enter(self.first)))
        let others = try #require(self.ticket(queue.enter(self.second)))
        #expect(queue.isHolder(mine, of: self.first) && queue.isHolder(others, of: self.second))
        #expect(!queue.isHolder(mine, of: self.second))
    }

    @Test func beyondTheLimitNobodyWaits() throws {
        var queue = TurnQueue(maximumWaiting: 2)
        let holder = try #require(self.ticket(queue.enter(self.first)))
        let next = try #require(self.ticket(queue.enter(self.first)))
        _ = queue.enter(self.first)
        #expect(queue.enter(self.first) == .full)
        #expect(queue.leave(self.first, holder) == next)
        #expect(queue.enter(self.first) != .full)
        #expect(queue.enter(self.first) == .full)
    }

    @Test func whoLeavesBeforeItsTurnIsPassedOver() throws {
        var queue = TurnQueue(maximumWaiting: 6)
        let tickets = try (0..<3).map { _ in try #require(self.ticket(queue.enter(self.first))) }
        #expect(queue.leave(self.first, tickets[1]) == nil)
        #expect(queue.isHolder(tickets[0], of: self.first))
        #expect(queue.leave(self.first, tickets[0]) == tickets[2])
        // Once is enough.
        #expect(queue.leave(self.first, tickets[0]) == nil)
        #expect(queue.isHolder(tickets[2], of: self.first))
    }
}

struct TurnLeaseAttemptTests {
    @Test func whoeverAddsTheItemHasTheTurn() {
        var attempt = TurnLeaseAttempt(serverCount: 3, timeout: .seconds(1))
        #expect(attempt.start() == .add(position: 0))
        #expect(attempt.answered(.added, elapsed: .zero, random: 0) == .finish(.held(position: 0)))
    }

    @Test func whileAnotherHasItItIsAskedAgainUntilTheTimeIsOver() {
        var attempt = TurnLeaseAttempt(serverCount: 3, timeout: .milliseconds(200))
        _ = attempt.start()
        var elapsed = Duration.zero
        var pauses = 0
        var step = attempt.answered(.taken, elapsed: elapsed, random: 512)
        while case .pause(let duration) = step, pauses < 100 {
            #expect(duration > .zero && duration <= .milliseconds(120))
            pauses += 1
            elapsed += duration
            #expect(attempt.paused() == .add(position: 0))
            step = attempt.answered(.taken, elapsed: elapsed, random: 512)
        }
        #expect(step == .finish(.timedOut))
        #expect(elapsed == .milliseconds(200))
        #expect((4...10).contains(pauses))
    }

    @Test func whereAServerCannotBeAskedTheNextOneIs() {
        var attempt = TurnLeaseAttempt(serverCount: 2, timeout: .seconds(1))
        _ = attempt.start()
        #expect(attempt.answered(.failed, elapsed: .zero, random: 0) == .add(position: 1))
        #expect(attempt.answered(.added, elapsed: .zero, random: 0) == .finish(.held(position: 1)))
    }

    @Test func withNoServerTheRequestGoesOn() {
        var attempt = TurnLeaseAttempt(serverCount: 2, timeout: .seconds(1))
        _ = attempt.start()
        _ = attempt.answered(.failed, elapsed: .zero, random: 0)
        #expect(attempt.answered(.failed, elapsed: .zero, random: 0) == .finish(.unprotected))
        #expect(TurnLeaseAttempt(serverCount: 0, timeout: .seconds(1)).start() == .finish(.unprotected))
    }
}
