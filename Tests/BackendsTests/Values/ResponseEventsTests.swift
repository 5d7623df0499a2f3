import NIOCore
import Testing

@testable import Backends

struct ResponseEventsTests {
    /// A noncopyable value cannot be captured by tasks.
    final class Holder: Sendable {
        let events = ResponseEvents()
    }

    private let large = BackendEvent.body(ByteBuffer(repeating: 1, count: 100_000))

    @Test func theReaderPausesAt256KilobytesAndGoesOnAtHalfOfThat() async throws {
        let events = ResponseEvents()
        var resumed = 0
        for pauses in [false, false, true, true] {
            var batch = [self.large]
            #expect(events.publish(&batch) == pauses)
            #expect(batch.isEmpty)
        }
        for expected in [0, 0, 1, 1] {
            #expect(try await events.next { resumed += 1 } == self.large)
            #expect(resumed == expected)
        }
        let isEmpty = !events.hasBufferedEvent
        #expect(isEmpty)
    }

    @Test func anErrorComesBehindWhatWasThereAndTheFirstOneCounts() async throws {
        let events = ResponseEvents()
        var batch = [self.large]
        _ = events.publish(&batch)
        events.fail(BackendError(.timedOut, "first"))
        events.fail(BackendError(.connectionClosed, "second"))
        var late = [self.large]
        _ = events.publish(&late)
        #expect(try await events.next {} == self.large)
        for _ in 0..<2 {
            await #expect(throws: BackendError(.timedOut, "first")) { try await events.next {} }
        }
    }

    @Test func anEndStaysTheEnd() async throws {
        let events = ResponseEvents()
        var batch = [BackendEvent.end]
        _ = events.publish(&batch)
        events.fail(BackendError(.connectionClosed, "too late"))
        #expect(try await events.next {} == .end)
        #expect(try await events.next {} == .end)
    }

    @Test func aWaitingConsumerGetsTheFirstEventOfABatch() async throws {
        let holder = Holder()
        async let first = holder.events.next {}
        await Task.yield()
        var batch = [BackendEvent.errorText(ByteBuffer(string: "a")), .end]
        _ = holder.events.publish(&batch)
        #expect(try await first == .errorText(ByteBuffer(string: "a")))
        #expect(try await holder.events.next {} == .end)
    }

    @Test func whatNobodyWantsIsDropped() async {
        let events = ResponseEvents()
        var batch = [self.large]
        _ = events.publish(&batch)
        events.discard()
        await #expect(throws: BackendError.self) { try await events.next {} }
    }
}
