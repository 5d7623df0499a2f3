import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct BodyGuardTests {
    private func examine(_ bytes: [UInt8], _ body: inout BodyGuard) -> BodyGuard.Verdict {
        bytes.withUnsafeBytes { body.examine($0) }
    }

    @Test func itSaysWhatLibfcgiCanReadWithoutWaiting() {
        var body = BodyGuard(requestID: 1, expectedByteCount: 7)
        let first = Wire.record(5, padding: 5, [1, 2, 3, 4])
        // All of the content, but nothing behind it.
        #expect(self.examine(first, &body) == .pass(.init(consumed: 17, content: 4, needed: 12)))
        #expect(self.examine(Array(Wire.record(5, [5, 6, 7])[..<8]), &body) == .pass(.init(consumed: 8)))
        #expect(self.examine([5, 6], &body) == .pass(.init(consumed: 2, content: 2, needed: 2)))
        #expect(!body.isComplete)
        let rest = [7] + Wire.record(5) + Wire.begin()
        #expect(self.examine(rest, &body) == .pass(.init(consumed: 9, content: 1, needed: 9)))
        #expect(body.isComplete)
        #expect(body.byteCount == 7)
    }

    @Test func theEndIsFoundWhereverTheStreamIsSplit() {
        let bytes = Wire.stream(5, Wire.bytes(100), size: 30, padding: 3)
        for position in 0...bytes.count {
            var body = BodyGuard(requestID: 1, expectedByteCount: 100)
            var content = 0
            for piece in [Array(bytes[..<position]), Array(bytes[position...]) + [9, 9]] {
                guard case .pass(let passage) = self.examine(piece, &body) else {
                    Issue.record("refused at \(position)")
                    return
                }
                content += passage.content
                #expect(passage.needed <= passage.consumed)
            }
            #expect(content == 100)
            #expect(body.isComplete)
        }
    }

    @Test(
        arguments: [
            ("too long", Wire.record(5, [1, 2, 3, 4]), .wrongContentLength),
            ("too short", Wire.stream(5, [1, 2]), .wrongContentLength),
            ("empty", Wire.record(5), .wrongContentLength),
            ("management record", Wire.record(9, id: 0, [1, 0, 65]), .managementRecord),
            ("unknown management record", Wire.record(5, [1]) + Wire.record(99, id: 0, [1]), .managementRecord),
            ("foreign request", Wire.record(5, id: 2, [1]), .foreignRequest),
            ("empty record of a foreign request", Wire.record(5, id: 2), .foreignRequest),
            ("abort", Wire.record(5, [1]) + Wire.record(2), .aborted),
            ("parameters again", Wire.record(4, [1]), .unexpectedRecord),
            ("second begin", Wire.begin(), .unexpectedRecord),
            ("data", Wire.record(8, [1]), .unexpectedRecord),
            ("version", Wire.record(5, version: 3, [1]), .unsupportedVersion),
            ("padded end", Wire.record(5, [1, 2, 3]) + Wire.record(5, padding: 1), .unexpectedPadding),
        ] as [(String, [UInt8], RefusalReason)]
    )
    func whatIsNoBodyIsRefused(name: String, bytes: [UInt8], reason: RefusalReason) {
        var body = BodyGuard(requestID: 1, expectedByteCount: 3)
        #expect(self.examine(bytes, &body) == .refuse(reason), "\(name)")
    }

    @Test func aBodyOfUnknownLengthMayHaveAnyLength() {
        for count in [0, 1, 70_000] {
            var body = BodyGuard(requestID: 1, expectedByteCount: nil)
            let bytes = Wire.stream(5, Wire.bytes(count))
            #expect(
                self.examine(bytes, &body)
                    == .pass(.init(consumed: bytes.count, content: count, needed: bytes.count))
            )
            #expect(body.isComplete)
        }
    }
}
