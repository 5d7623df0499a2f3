import Testing

@testable import Sessions

struct TurnLeaseKeepingTests {
    private let interval = TurnLeaseKeeping.Step.pause(.seconds(3))
    private let retry = TurnLeaseKeeping.Step.pause(.milliseconds(500))

    @Test func aLeaseIsRenewedForAsLongAsThatGoesWell() {
        var keeping = TurnLeaseKeeping()
        #expect(keeping.start() == self.interval)
        for _ in 0..<3 {
            #expect(keeping.paused() == .renew)
            let step = keeping.answered(.stored)
            #expect(step == self.interval)
        }
    }

    @Test(arguments: [TurnLeaseKeeping.Answer.refused, .failed])
    func whereARenewalFailsTheItemIsLookedAt(answer: TurnLeaseKeeping.Answer) {
        var keeping = TurnLeaseKeeping()
        var step = keeping.answered(answer)
        #expect(step == self.retry)
        #expect(keeping.paused() == .look)
        // The server does not answer yet.
        step = keeping.answered(.failed)
        #expect(step == self.retry)
        #expect(keeping.paused() == .look)
        step = keeping.answered(.found(isOwn: true))
        #expect(step == .renew)
        step = keeping.answered(.stored)
        #expect(step == self.interval)
        #expect(keeping.paused() == .renew)
    }

    @Test func aLeaseThatIsGoneIsTakenAgain() {
        var keeping = TurnLeaseKeeping()
        _ = keeping.answered(.failed)
        var step = keeping.answered(.absent)
        #expect(step == .add)
        // Somebody was faster, or the answer was lost.
        step = keeping.answered(.refused)
        #expect(step == self.retry)
        #expect(keeping.paused() == .look)
        step = keeping.answered(.found(isOwn: false))
        #expect(step == .end)
    }
}
