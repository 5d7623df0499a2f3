import Testing

@testable import Chaos

struct FaultPlanTests {
    private func plan(_ seed: UInt64, longest: Duration = .seconds(20)) -> ServerFaultPlan {
        ServerFaultPlan(seed: seed, kinds: ServerFault.allCases, servers: 4, gateways: 2, longest: longest)
    }

    @Test func theSeedTellsTheFaults() {
        #expect(Array(self.plan(1).prefix(100)) == Array(self.plan(1).prefix(100)))
        #expect(Array(self.plan(1).prefix(100)) != Array(self.plan(2).prefix(100)))
        let gateways = GatewayFaultPlan(seed: 1, gateways: 2)
        #expect(Array(gateways.prefix(50)) == Array(GatewayFaultPlan(seed: 1, gateways: 2).prefix(50)))
    }

    @Test func everyKindComesOnceBeforeAnyComesAgain() {
        let kinds = ServerFault.allCases.count
        let faults = Array(self.plan(7).prefix(kinds * 10))
        for round in 0..<10 {
            #expect(Set(faults[round * kinds..<(round + 1) * kinds].map(\.kind)).count == kinds)
        }
        #expect(Set(faults.map(\.target)) == [0, 1, 2, 3])
        #expect(Set(faults.map(\.gateway)) == [0, 1])
    }

    @Test func aFreezeLastsFromATenthOfASecondToTwentySeconds() {
        let frozen: [Duration] = self.plan(3).prefix(2_400).filter { $0.kind == .frozen }.map(\.lasts)
        #expect(frozen.allSatisfy { $0 >= .milliseconds(99) && $0 <= .seconds(20) })
        #expect(frozen.contains { $0 < .milliseconds(300) } && frozen.contains { $0 > .seconds(12) })
        #expect(self.plan(3, longest: .seconds(5)).prefix(300).allSatisfy { $0.lasts <= .seconds(5) })
    }

    @Test func withoutKindsNothingHappens() {
        var plan = ServerFaultPlan(seed: 1, kinds: [], servers: 4, gateways: 2, longest: .seconds(1))
        #expect(plan.next() == nil)
    }
}
