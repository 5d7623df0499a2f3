import NIOCore
import Testing

@testable import Memcached

@Suite struct ServerHealthTests {
    private func at(_ seconds: Double) -> NIODeadline { .uptimeNanoseconds(UInt64(seconds * 1e9)) }

    @Test func aServerIsUpOnlyAfterItsGreeting() {
        var health = ServerHealth()
        #expect(health.refusal == .notConnected)
        #expect(health.attemptDue() == true)
        #expect(health.attemptDue() == false)
        #expect(!health.isUp)
        #expect(health.greetingAnswered(at: self.at(1)) == true)
        #expect(health.isUp)
        #expect(health.greetingAnswered(at: self.at(2)) == false)
        #expect(health.attemptDue() == false)
    }

    @Test func theFirstFailureOfAStableServerIsRetriedAtOnceAndFurtherOnesWithDoublingDelays() {
        var health = ServerHealth()
        var delays = [Int64]()
        for attempt in 0..<10 {
            #expect(health.attemptDue() == true)
            let failure = health.connectionFailed(at: self.at(Double(attempt)), chance: 1)
            #expect(failure.wentDown == (attempt == 0))
            delays.append((failure.retryAfter?.nanoseconds ?? -1) / 1_000_000)
        }
        #expect(delays == [0, 50, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000])
        #expect(health.refusal == .heldDown)
    }

    @Test func chanceTakesUpToHalfOfTheDelayAway() {
        for (chance, delay) in [(0.0, 25), (0.5, 37), (1.0, 50), (7, 50), (-1, 25)] {
            var health = ServerHealth()
            for _ in 0..<2 {
                _ = health.attemptDue()
                let failure = health.connectionFailed(at: self.at(1), chance: chance)
                if health.failures == 2 { #expect((failure.retryAfter?.nanoseconds ?? 0) / 1_000_000 == Int64(delay)) }
            }
        }
    }

    @Test func aFlappingServerIsHeldOutLongerUntilItHasBeenStable() {
        var health = ServerHealth()
        var now = 0.0
        func liveFor(_ seconds: Double) -> Int64 {
            _ = health.attemptDue()
            _ = health.greetingAnswered(at: self.at(now))
            now += seconds
            let failure = health.connectionFailed(at: self.at(now), chance: 1)
            #expect(failure.wentDown)
            return (failure.retryAfter?.nanoseconds ?? -1) / 1_000_000
        }
        #expect([liveFor(9), liveFor(9), liveFor(9), liveFor(9)] == [0, 500, 1_000, 2_000])
        #expect((0..<4).map { _ in liveFor(0.1) } == [4_000, 8_000, 10_000, 10_000])
        #expect([liveFor(10), liveFor(9)] == [0, 500])
    }

    @Test func howLongAServerWasAwayDoesNotHoldItOut() {
        var health = ServerHealth()
        _ = health.attemptDue()
        _ = health.greetingAnswered(at: self.at(0))
        // Stable, then away for an hour: probed once a second to the end.
        var now = 20.0
        while now < 3_600 {
            let failure = health.connectionFailed(at: self.at(now), chance: 1)
            #expect((failure.retryAfter ?? .hours(1)) <= .seconds(1))
            #expect(health.attemptDue() == true)
            now += 1
        }
        #expect(health.greetingAnswered(at: self.at(now)) == true)
        // And probed at once when it fails after it was stable again.
        #expect(health.connectionFailed(at: self.at(now + 10), chance: 1).retryAfter == .zero)
    }

    @Test func aFailureIsHeardOfOnceAndNothingFollowsTheEnd() {
        var health = ServerHealth()
        _ = health.attemptDue()
        _ = health.greetingAnswered(at: self.at(1))
        #expect(health.connectionFailed(at: self.at(2), chance: 0).wentDown == true)
        #expect(health.attemptDue() == true)
        health.closed()
        #expect(health.greetingAnswered(at: self.at(3)) == false)
        #expect(health.connectionFailed(at: self.at(3), chance: 0) == .init(retryAfter: nil, wentDown: false))
        #expect(health.attemptDue() == false)
        #expect(health.refusal == .notConnected)
    }

    @Test(arguments: [
        ("1.6.18", true), ("1.6.17", false), ("1.5.22", false), ("1.6.9", false), ("1.6.38", true), ("1.10.0", true),
        ("2.0.0", true), ("1.6.18_rc1", true), ("unknown", true), ("", true),
    ]) func serversOlderThanTheMetaCommandsAreToldApart(version: String, isRecentEnough: Bool) {
        #expect(MemcachedServer.isRecentEnough(version) == isRecentEnough)
    }
}
