import NIOCore
import Testing

@testable import Sessions

struct CopyLifetimeTests {
    /// Milliseconds since 1970.
    private let now: SessionRecord.Timestamp = 1_800_000_000_000
    private let longest = 23 * 3_600

    private func record(idle: Int, untilDeadline milliseconds: Int64) -> SessionRecord {
        SessionRecord(
            identity: WriteIdentity(version: 1, writer: 1),
            created: 0,
            written: 0,
            idleSeconds: UInt32(idle),
            absoluteDeadline: SessionRecord.Timestamp(Int64(self.now) + milliseconds),
            payload: ByteBuffer()
        )
    }

    private func seconds(_ lifetime: CopyLifetime, idle: Int = 1_440, untilDeadline: Int64 = 86_400_000) -> Int {
        lifetime.seconds(
            of: self.record(idle: idle, untilDeadline: untilDeadline),
            now: self.now,
            maximumItemAge: self.longest
        )
    }

    @Test(
        arguments: [
            // Whichever comes first: the idle time, the absolute deadline, the greatest age of a copy.
            (1_440, 86_400_000, 1_440), (1_440, 60_000, 60), (90_000, 500_000_000, 82_800), (90_000, 3_600_000, 3_600),
            // A second that has begun counts: memcached must not forget what the gateway still returns.
            (1_440, 59_001, 60), (1_440, 1, 1), (1_440, 1_000, 1), (1_440, 1_001, 2),
            // Over, by this gateway's clock: gone as soon as memcached can (0 would mean never).
            (1_440, 0, 1), (1_440, -1, 1), (1_440, -86_400_000, 1),
            // 40 days: no copy is older than a day, so memcached is never told a point in time.
            (40 * 86_400, 40 * 86_400_000, 82_800),
        ] as [(Int, Int64, Int)]
    )
    func aSessionsCopyLivesUntilTheFirstOfItsEnds(idle: Int, untilDeadline: Int64, expected: Int) {
        #expect(self.seconds(.idle, idle: idle, untilDeadline: untilDeadline) == expected)
    }

    @Test func whatIsLeftStays() {
        #expect(self.seconds(.remaining(seconds: 17)) == 17)
        #expect(self.seconds(.remaining(seconds: nil)) == self.longest)
    }

    @Test func aPromiseOutlivesEveryMessageAndATombstoneEveryCopy() {
        #expect(self.seconds(.promise(seconds: 5)) == 3_600)
        #expect(self.seconds(.promise(seconds: 4_000)) == 4_000)
        #expect(self.seconds(.promise(seconds: nil)) == 3_600)
        #expect(self.seconds(.tombstone, idle: 1, untilDeadline: -1) == 24 * 3_600)
        #expect(self.seconds(.tombstone) > self.longest)
    }

    @Test func aClockThatIsWrongByADayCostsNoMoreThanTheDeadline() {
        let record = self.record(idle: 1_440, untilDeadline: 3 * 86_400_000)
        for skew in [-86_400_000, 0, 86_400_000] as [Int64] {
            let now = SessionRecord.Timestamp(Int64(self.now) + skew)
            #expect(CopyLifetime.idle.seconds(of: record, now: now, maximumItemAge: self.longest) == 1_440)
        }
    }

    @Test func tombstonesStayWhileTheirSessionsCouldBeTakenOverAgain() {
        let day: SessionRecord.Timestamp = 86_400_000
        for (until, seconds) in [
            (0, 86_400), (self.now - day, 86_400), (self.now + day / 2, 86_400), (self.now + 40 * day + 1, 3_456_001),
        ] {
            let kept = CopyLifetime.tombstone.seconds(
                of: nil,
                now: self.now,
                maximumItemAge: self.longest,
                tombstonesUntil: until
            )
            #expect(kept == seconds)
        }
    }
}
