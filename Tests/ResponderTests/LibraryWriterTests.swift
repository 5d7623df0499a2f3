import NIOCore
import Testing

@testable import Responder

@Suite struct LibraryWriterTests {
    init() {
        Responder.prepareProcess()
    }

    private func records(_ writer: LibraryWriter, _ content: [UInt8], id: UInt16, ends: Bool) -> [UInt8]? {
        var queue = OutputQueue()
        queue.append(ByteBuffer(bytes: content), to: .output)
        return writer.records(of: &queue, requestID: id, ends: ends).map { Array($0.readableBytesView) }
    }

    /// The content, padded to eight bytes with zeros as libfcgi does.
    private func output(_ content: [UInt8], id: UInt16) -> [UInt8] {
        let padding = UInt8((8 - content.count % 8) % 8)
        let record = Wire.record(6, id: id, padding: padding, content)
        return record.dropLast(Int(padding)) + [UInt8](repeating: 0, count: Int(padding))
    }

    private func end(id: UInt16) -> [UInt8] {
        Wire.record(6, id: id) + Wire.record(3, id: id, [UInt8](repeating: 0, count: 8))
    }

    /// Each response has its own number and nothing of the one before, whatever their lengths.
    @Test func oneWriterServesManyResponses() {
        let writer = LibraryWriter()
        for (id, count) in [(1, 8_136), (258, 1), (65_535, 8), (1, 17), (2, 8_135), (3, 3)] as [(UInt16, Int)] {
            let content = Wire.bytes(count)
            #expect(
                self.records(writer, content, id: id, ends: true)
                    == self.output(content, id: id) + self.end(id: id)
            )
        }
    }

    /// A response that is flushed in pieces, between which another request's goes out.
    @Test func responsesMayTakeTurns() {
        let writer = LibraryWriter()
        #expect(self.records(writer, [1, 2, 3], id: 7, ends: false) == self.output([1, 2, 3], id: 7))
        #expect(self.records(writer, [4], id: 8, ends: true) == self.output([4], id: 8) + self.end(id: 8))
        #expect(self.records(writer, [5, 6], id: 7, ends: true) == self.output([5, 6], id: 7) + self.end(id: 7))
    }
}
