import FastCGI
import NIOCore
import NIOTestUtils
import Testing

struct FastCGIRecordDecoderTests {
    private func record(
        version: UInt8 = 1,
        type: UInt8,
        id: UInt16 = 1,
        content: [UInt8] = [],
        padding: Int = 0
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(version, type, id, UInt16(content.count), UInt8(padding), UInt8(0))
        buffer.writeBytes(content)
        buffer.writeRepeatingByte(0xAA, count: padding)
        return buffer
    }

    @Test func recordsAreDecodedWhereverTheyAreCut() throws {
        let long = [UInt8](repeating: 9, count: 1_000)
        try ByteToMessageDecoderVerifier.verifyDecoder(
            inputOutputPairs: [
                (self.record(type: 6, content: [1, 2, 3]), [.output(ByteBuffer(bytes: [1, 2, 3]))]),
                (self.record(type: 6), [.output(ByteBuffer())]),
                (self.record(type: 7, content: [4], padding: 7), [.errorOutput(ByteBuffer(bytes: [4]))]),
                (self.record(type: 6, content: long, padding: 255), [.output(ByteBuffer(bytes: long))]),
                (
                    self.record(type: 3, content: [0, 0, 1, 0, 0, 0, 0, 0]),
                    [.endRequest(applicationStatus: 256, protocolStatus: .requestComplete)]
                ),
                (
                    self.record(type: 3, content: [0, 0, 0, 0, 2, 0, 0, 0], padding: 8),
                    [.endRequest(applicationStatus: 0, protocolStatus: .overloaded)]
                ),
            ],
            decoderFactory: { FastCGIRecordDecoder() }
        )
    }

    @Test func theLongestRecordIsDecoded() throws {
        var decoder = FastCGIRecordDecoder()
        let content = [UInt8](repeating: 5, count: 65_535)
        var buffer = self.record(type: 6, content: content, padding: 255)
        #expect(try decoder.decode(buffer: &buffer) == .output(ByteBuffer(bytes: content)))
        #expect(buffer.readableBytes == 0)
    }

    @Test func aForeignHeaderIsRefusedBeforeItsContentIsThere() {
        let hostile: [(ByteBuffer, FastCGIError)] = [
            (self.record(version: 0, type: 6), .unsupportedVersion),
            (self.record(version: 2, type: 6), .unsupportedVersion),
            (ByteBuffer(string: "HTTP/1.1 400 Bad Request"), .unsupportedVersion),
            (self.record(type: 6, id: 0), .foreignRequestID),
            (self.record(type: 10, id: 0), .foreignRequestID),
            (self.record(type: 6, id: 2), .foreignRequestID),
            (self.record(type: 6, id: 256), .foreignRequestID),
            (self.record(type: 0), .unexpectedType),
            (self.record(type: 1), .unexpectedType),
            (self.record(type: 2), .unexpectedType),
            (self.record(type: 4), .unexpectedType),
            (self.record(type: 5), .unexpectedType),
            (self.record(type: 8), .unexpectedType),
            (self.record(type: 11), .unexpectedType),
            (self.record(type: 255), .unexpectedType),
            (self.record(type: 3), .malformedEndRequest),
            (self.record(type: 3, content: [0, 0, 0, 0, 0, 0, 0]), .malformedEndRequest),
            (self.record(type: 3, content: [0, 0, 0, 0, 4, 0, 0, 0]), .malformedEndRequest),
        ]
        for (buffer, error) in hostile {
            var decoder = FastCGIRecordDecoder()
            var buffer = buffer
            #expect(throws: error) { try decoder.decode(buffer: &buffer) }
        }
        var headerOnly = ByteBuffer(bytes: [1, 9, 0, 1, 0xFF, 0xFF, 0, 0])
        var decoder = FastCGIRecordDecoder()
        #expect(throws: FastCGIError.unexpectedType) { try decoder.decode(buffer: &headerOnly) }
    }

    @Test func randomBytesGiveRecordsOrAnErrorAndNeverRunForever() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            var decoder = FastCGIRecordDecoder()
            var bytes = (0..<64).map { _ in UInt8.random(in: 0...8, using: &generator) }
            bytes[0] = 1
            bytes[2] = 0
            bytes[3] = 1
            var buffer = ByteBuffer(bytes: bytes)
            var isFinished = false
            for _ in 0..<10 where !isFinished {
                let before = buffer.readableBytes
                do throws(FastCGIError) {
                    guard try decoder.decode(buffer: &buffer) != nil else {
                        isFinished = true
                        continue
                    }
                    #expect(buffer.readableBytes <= before - 8)
                } catch {
                    isFinished = true
                }
            }
            #expect(isFinished)
        }
    }
}
