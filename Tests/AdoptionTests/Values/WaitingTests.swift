import Adoption
import NIOCore
import Testing

struct WaitingTests {
    @Test func aLockIsLookedAtLessAndLessOften() {
        var wait = LockWait(limit: .seconds(1))
        var waited = Duration.zero
        var pauses: [Duration] = []
        while let pause = wait.pause(waited: waited) {
            pauses.append(pause)
            waited += pause
        }
        let doubled: [Duration] = [5, 10, 20, 40, 80, 160, 200].map { .milliseconds($0) }
        #expect(Array(pauses.prefix(7)) == doubled)
        #expect(pauses.dropFirst(6).dropLast().allSatisfy { $0 == .milliseconds(200) })
        // Not a moment beyond the limit.
        #expect(waited == .seconds(1))
    }

    @Test func withoutALimitNobodyWaits() {
        var wait = LockWait(limit: .zero)
        #expect(wait.pause(waited: .zero) == nil)
    }

    @Test func threeFailuresInARowKeepRequestsAway() {
        let start = NIODeadline.now()
        var breaker = SourceBreaker()
        #expect(breaker.failed(at: start) == .none)
        #expect(breaker.succeeded() == .none)
        #expect(breaker.failed(at: start) == .none)
        #expect(breaker.failed(at: start) == .none)
        #expect(breaker.admits(at: start) == true)
        #expect(breaker.failed(at: start) == .opened)
        #expect(breaker.admits(at: start + .milliseconds(499)) == false)
        // One tries, the others go on waiting.
        #expect(breaker.admits(at: start + .milliseconds(500)) == true)
        #expect(breaker.admits(at: start + .milliseconds(501)) == false)
        #expect(breaker.failed(at: start + .milliseconds(600)) == .none)
        #expect(breaker.admits(at: start + .milliseconds(1_599)) == false)
        #expect(breaker.admits(at: start + .milliseconds(1_600)) == true)
        #expect(breaker.succeeded() == .closed)
        #expect(breaker.admits(at: start + .milliseconds(1_601)) == true)
        #expect(breaker.failed(at: start + .milliseconds(1_602)) == .none)
    }

    @Test func thePauseOfTheBreakerHasAnEnd() {
        var now = NIODeadline.now()
        var breaker = SourceBreaker()
        for _ in 0..<40 {
            _ = breaker.failed(at: now)
            now = now + .seconds(8)
            #expect(breaker.admits(at: now) == true)
        }
    }
}
