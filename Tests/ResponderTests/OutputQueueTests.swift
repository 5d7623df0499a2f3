import CLinux
import NIOCore
import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct OutputQueueTests {
    /// What goes over the wire when the peer takes so many bytes at a time.
    private func drained(_ queue: inout OutputQueue, step: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while !queue.isEmpty {
            let piece = queue.withVectors { vectors -> [UInt8] in
                let all = vectors.flatMap { UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len) }
                return Array(all.prefix(step))
            }
            bytes += piece
            queue.sent(piece.count)
        }
        return bytes
    }

    @Test(arguments: [1, 7, 100, 1_000_000])
    func piecesBecomeAsFewRecordsAsPossibleHoweverTheyAreTaken(step: Int) {
        var queue = OutputQueue()
        queue.append(ByteBuffer(bytes: [1, 2]), to: .output)
        queue.append(ByteBuffer(), to: .errors)
        queue.append(ByteBuffer(bytes: [3]), to: .output)
        queue.append(ByteBuffer(bytes: [4]), to: .errors)
        queue.append(ByteBuffer(bytes: [5, 6]), to: .output)
        queue.endErrorText(requestID: 258)
        #expect(queue.byteCount == 6 + 4 * 8)
        let expected =
            Wire.record(6, id: 258, [1, 2, 3]) + Wire.record(7, id: 258, [4]) + Wire.record(6, id: 258, [5, 6])
            + Wire.record(7, id: 258)
        #expect(self.drained(&queue, step: step) == expected)
        #expect(queue.byteCount == 0)
    }

    @Test func noRecordIsLongerThanItsLengthCanSay() {
        let bytes = Wire.bytes(200_000)
        var queue = OutputQueue()
        queue.append(ByteBuffer(bytes: bytes[..<65_000]), to: .output)
        queue.append(ByteBuffer(bytes: bytes[65_000...]), to: .output)
        queue.frame(requestID: 1)
        let expected = stride(from: 0, to: bytes.count, by: 65_535).flatMap {
            Wire.record(6, Array(bytes[$0..<min($0 + 65_535, bytes.count)]))
        }
        #expect(self.drained(&queue, step: 10_000) == expected)
    }

    @Test func onlySmallOrdinaryOutputIsForTheLibrary() {
        var queue = OutputQueue()
        #expect(queue.fitsLibrary)
        queue.append(ByteBuffer(repeating: 1, count: LibraryWriter.bufferedOutputLimit), to: .output)
        #expect(queue.fitsLibrary)
        queue.append(ByteBuffer(bytes: [1]), to: .output)
        #expect(!queue.fitsLibrary)
        var errors = OutputQueue()
        errors.append(ByteBuffer(bytes: [1]), to: .errors)
        #expect(!errors.fitsLibrary)
    }
}
