import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct BodyPaceTests {
    private let limits = BodyPace.Limits(timeout: .seconds(60), minimumRate: 500)
    private let start = ContinuousClock.now

    @Test func aByteASecondIsTooSlowAfterTheFirstFiveSeconds() {
        var pace = BodyPace()
        var verdicts: [RefusalReason?] = []
        for second in 0..<6 {
            pace.waitBegan(at: self.start + .seconds(second))
            verdicts.append(pace.judge(at: self.start + .milliseconds(second * 1_000 + 990), self.limits))
            pace.received(1, at: self.start + .seconds(second + 1))
        }
        #expect(verdicts == [nil, nil, nil, nil, nil, .bodyTooSlow])
    }

    @Test func timeInWhichNobodyWaitsDoesNotCount() {
        var pace = BodyPace()
        pace.waitBegan(at: self.start)
        pace.received(10, at: self.start + .seconds(4))
        #expect(pace.judge(at: self.start + .seconds(1_000), self.limits) == nil)
        pace.waitBegan(at: self.start + .seconds(1_000))
        #expect(pace.judge(at: self.start + .milliseconds(1_000_900), self.limits) == nil)
        #expect(pace.judge(at: self.start + .seconds(1_001), self.limits) == .bodyTooSlow)
    }

    @Test func eachStretchOfFiveSecondsIsJudgedByItself() {
        var pace = BodyPace()
        pace.waitBegan(at: self.start)
        pace.received(1_000_000, at: self.start + .seconds(5))
        #expect(pace.judge(at: self.start + .seconds(5), self.limits) == nil)
        pace.waitBegan(at: self.start + .seconds(5))
        #expect(pace.judge(at: self.start + .seconds(9), self.limits) == nil)
        #expect(pace.judge(at: self.start + .seconds(10), self.limits) == .bodyTooSlow)
    }

    @Test func theWholeBodyHasATimeHoweverFastItComes() {
        var pace = BodyPace()
        for second in 0..<59 {
            pace.waitBegan(at: self.start + .seconds(second))
            pace.received(1_000_000, at: self.start + .seconds(second + 1))
            #expect(pace.judge(at: self.start + .seconds(second + 1), self.limits) == nil)
        }
        pace.waitBegan(at: self.start + .seconds(100))
        #expect(pace.judge(at: self.start + .seconds(101), self.limits) == .bodyTimedOut)
    }

    @Test func withoutARateOnlyTheWholeTimeCounts() {
        var pace = BodyPace()
        pace.waitBegan(at: self.start)
        let limits = BodyPace.Limits(timeout: .seconds(60), minimumRate: 0)
        #expect(pace.judge(at: self.start + .seconds(59), limits) == nil)
        #expect(pace.judge(at: self.start + .seconds(60), limits) == .bodyTimedOut)
    }
}
