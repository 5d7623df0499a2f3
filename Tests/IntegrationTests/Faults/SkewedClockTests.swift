import Foundation
import GatewayTesting
import Testing

/// One of two gateways has another idea of the time (`FalseClock`); the memcacheds and the other gateway are right.
@Suite(.serialized) struct SkewedClockTests {
    private func stack(_ clock: FalseClock, absoluteLifetime: String) async throws -> FaultStack {
        try await FaultStack.ready {
            $0.gateways = 2
            $0.gatewayEnvironments = [1: clock.environment]
            $0.site += ["absolute_lifetime: \(absoluteLifetime)"]
        }
    }

    @Test(arguments: [[86_400], [-86_400], [3_600, -3_600, 0, 86_400, -86_400]])
    func clocksOrderNothing(_ skews: [Int]) async throws {
        let clock = try FalseClock(skews[0])
        let stack = try await self.stack(clock, absoluteLifetime: "96h")
        var visitors = (0..<6).map { CountingVisitor(stack.client($0 % 2)) }
        for round in 0..<10 {
            try clock.set(skews[round % skews.count])
            for index in visitors.indices {
                let visit = await visitors[index].write(
                    "\(index)-\(round)",
                    through: stack.client((index + round) % 2)
                )
                #expect(visit.outcome == (round == 0 ? "new" : "saved"), "status \(visit.status)")
                #expect(visit.seen?.nonce == (round == 0 ? nil : "\(index)-\(round - 1)"))
            }
        }
        for index in visitors.indices {
            for gateway in 0..<2 {
                #expect(await visitors[index].read(through: stack.client(gateway)).seen?.count == 10)
            }
        }
    }

    @Test func theAbsoluteLifetimeEndsByTheClockOfWhoDecides() async throws {
        let clock = try FalseClock(3_600)
        let stack = try await self.stack(clock, absoluteLifetime: "3606s")
        var visitor = CountingVisitor(stack.client(0))
        let before = ContinuousClock.now
        #expect(await visitor.write("here").outcome == "new")
        let after = ContinuousClock.now
        var lastThere = Duration.zero
        var firstGone: Duration?
        while firstGone == nil {
            var other = visitor
            let visit = await other.read(through: stack.client(1))
            #expect(visit.status == 200)
            if visit.seen?.nonce == "here" {
                lastThere = visit.start - after
            } else {
                firstGone = visit.end - before
            }
            try #require(ContinuousClock.now - before < .seconds(30))
            try await Task.sleep(for: .milliseconds(50))
        }
        // To the second: the session was an hour younger by the clock that it was created by.
        #expect(lastThere <= .seconds(6) + .seconds(1))
        #expect((firstGone ?? .zero) >= .seconds(6) - .seconds(1))
        #expect((firstGone ?? .zero) - lastThere < .seconds(3), "the machine is too busy to tell")
        // The other gateway's clock has an hour left.
        #expect(await visitor.read(through: stack.client(0)).seen?.nonce == "here")
    }
}
