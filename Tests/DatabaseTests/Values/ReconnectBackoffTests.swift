import Testing

@testable import Database

struct ReconnectBackoffTests {
    @Test func theDelayDoublesUpToItsLimit() {
        let start = ContinuousClock.now
        var backoff = ReconnectBackoff()
        #expect(backoff.isTimeToTry(at: start) == true)
        #expect(backoff.mayTry(at: start) == true)
        #expect(backoff.failed(at: start, random: 1) == true)
        #expect(backoff.isDown)
        #expect(backoff.mayTry(at: start + .milliseconds(99)) == false)
        #expect(backoff.mayTry(at: start + .milliseconds(100)) == true)
        #expect(backoff.failed(at: start, random: 1) == false)
        #expect(backoff.isTimeToTry(at: start + .milliseconds(199)) == false)
        for _ in 0..<100 { _ = backoff.failed(at: start, random: 1) }
        #expect(backoff.isTimeToTry(at: start + .milliseconds(499)) == false)
        #expect(backoff.isTimeToTry(at: start + .milliseconds(500)) == true)
    }

    @Test func oneCallerTriesAtATime() {
        let start = ContinuousClock.now
        var backoff = ReconnectBackoff()
        _ = backoff.failed(at: start, random: 0)
        let later = start + .seconds(1)
        #expect(backoff.mayTry(at: later) == true)
        #expect(backoff.mayTry(at: later) == false)
        #expect(backoff.succeeded() == true)
        #expect(backoff.mayTry(at: later) == true)
        #expect(backoff.mayTry(at: later) == true)
        #expect(backoff.succeeded() == false)
    }

    @Test func chanceShortensTheDelayByHalfAtMost() {
        let start = ContinuousClock.now
        var backoff = ReconnectBackoff()
        _ = backoff.failed(at: start, random: 0)
        #expect(backoff.isTimeToTry(at: start + .milliseconds(49)) == false)
        #expect(backoff.isTimeToTry(at: start + .milliseconds(50)) == true)
    }
}
