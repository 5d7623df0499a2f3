import NIOCore
import Testing

@testable import Sessions

struct SessionRecordTests {
    private let record = SessionRecord(
        identity: WriteIdentity(version: 1, writer: 2),
        created: 3,
        written: 4,
        idleSeconds: 5,
        absoluteDeadline: 6,
        payload: ByteBuffer(string: "seven")
    )

    @Test func aCopyIsNotChangedWithTheOriginal() {
        var changed = self.record
        changed.written = 40
        changed.payload = ByteBuffer(string: "eight")
        #expect(self.record.written == 4)
        #expect(String(buffer: self.record.payload) == "seven")
        #expect(changed.written == 40)
        #expect(changed.identity == self.record.identity)
    }

    @Test func recordsAreEqualByWhatTheyHold() {
        var other = self.record
        #expect(other == self.record)
        other.holders = [1]
        #expect(other != self.record)
        other.holders = []
        #expect(other == self.record)
    }
}
