import CGI
import FastCGI
import NIOCore
import Testing

struct FastCGIRequestEncoderTests {
    struct RawRecord: Equatable {
        var type: UInt8
        var content: [UInt8]
    }

    struct Truncated: Error {}

    /// Takes the records apart by the letter of the specification, as php-fpm does: each by itself.
    private func records(_ buffer: ByteBuffer) throws -> [RawRecord] {
        var buffer = buffer
        var records: [RawRecord] = []
        while buffer.readableBytes > 0 {
            guard let header = buffer.readBytes(length: 8) else { throw Truncated() }
            #expect(header[0] == 1)
            #expect(header[2] == 0 && header[3] == 1)
            let length = Int(header[4]) << 8 | Int(header[5])
            #expect(header[6] == 0)
            guard let content = buffer.readBytes(length: length) else { throw Truncated() }
            records.append(RawRecord(type: header[1], content: content))
        }
        return records
    }

    private func pairs(_ content: [UInt8]) throws -> [[UInt8]] {
        var rest = content[...]
        func length() throws -> Int {
            guard let first = rest.popFirst() else { throw Truncated() }
            guard first >= 128 else { return Int(first) }
            guard rest.count >= 3 else { throw Truncated() }
            defer { rest = rest.dropFirst(3) }
            return rest.prefix(3).reduce(Int(first & 0x7F)) { $0 << 8 | Int($1) }
        }
        var strings: [[UInt8]] = []
        while !rest.isEmpty {
            let nameLength = try length()
            let valueLength = try length()
            guard rest.count >= nameLength + valueLength else { throw Truncated() }
            strings.append(Array(rest.prefix(nameLength)))
            strings.append(Array(rest.dropFirst(nameLength).prefix(valueLength)))
            rest = rest.dropFirst(nameLength + valueLength)
        }
        return strings
    }

    private func encode(_ parameters: Parameters, keepsConnection: Bool = true) throws -> [RawRecord] {
        var buffer = ByteBuffer()
        try FastCGIRequestEncoder.encodeHead(
            parameters: parameters,
            keepsConnection: keepsConnection,
            into: &buffer
        )
        return try self.records(buffer)
    }

    @Test func aRequestBeginsAsAResponderThatKeepsItsConnection() throws {
        #expect(
            try self.encode(Parameters()) == [
                RawRecord(type: 1, content: [0, 1, 1, 0, 0, 0, 0, 0]), RawRecord(type: 4, content: []),
            ]
        )
        #expect(try self.encode(Parameters(), keepsConnection: false)[0].content[2] == 0)
    }

    @Test(arguments: [0, 1, 127, 128, 255, 65_000])
    func namesAndValuesOfAnyLengthComeBack(_ length: Int) throws {
        var parameters = Parameters()
        parameters.append("A", String(repeating: "v", count: length))
        parameters.append(String(repeating: "n", count: length), "value")
        let records = try self.encode(parameters)
        let strings = try records.dropFirst().flatMap { try self.pairs($0.content) }
        #expect(
            strings == [
                Array("A".utf8), Array(repeating: UInt8(ascii: "v"), count: length),
                Array(repeating: UInt8(ascii: "n"), count: length), Array("value".utf8),
            ]
        )
    }

    @Test func everyRecordEndsOnThePairThatFillsIt() throws {
        var parameters = Parameters()
        for index in 0..<20 { parameters.append("SESSION_DATA_\(index)", String(repeating: "x", count: 40_000)) }
        for index in 0..<3_000 { parameters.append("HTTP_X_\(index)", String(repeating: "y", count: index % 200)) }
        let records = try self.encode(parameters)
        #expect(records.last == RawRecord(type: 4, content: []))
        var count = 0
        for record in records.dropFirst() {
            #expect(record.type == 4)
            count += try self.pairs(record.content).count / 2
        }
        #expect(count == 3_020)
        #expect(records.dropFirst().dropLast().allSatisfy { !$0.content.isEmpty })
    }

    @Test func aPairThatFillsARecordIsSentAndOneByteMoreIsRefused() throws {
        var fits = Parameters()
        fits.append("SESSION_DATA", String(repeating: "x", count: 65_518))
        #expect(try self.encode(fits)[1].content.count == 65_535)
        var isTooLong = fits
        isTooLong.append("SESSION_DATA", String(repeating: "x", count: 65_519))
        #expect(throws: FastCGIError.parameterTooLong) { try self.encode(isTooLong) }
    }

    @Test func aBodyIsCutIntoRecordsAndEndsWithAnEmptyOne() throws {
        let body = ByteBuffer(repeating: 7, count: 70_000)
        var buffer = ByteBuffer()
        FastCGIRequestEncoder.encodeInput(body, into: &buffer)
        FastCGIRequestEncoder.encodeInput(ByteBuffer(), into: &buffer)
        FastCGIRequestEncoder.encodeInputEnd(into: &buffer)
        let records = try self.records(buffer)
        #expect(records.map(\.content.count) == [65_535, 4_465, 0])
        #expect(records.allSatisfy { $0.type == 5 })
    }

    @Test func headersAndSlicesTogetherAreTheSameBody() throws {
        let body = ByteBuffer(repeating: 7, count: 70_000)
        var copied = ByteBuffer()
        FastCGIRequestEncoder.encodeInput(body, into: &copied)
        var joined = ByteBuffer()
        var rest = body
        while true {
            var header = ByteBuffer()
            guard let content = FastCGIRequestEncoder.encodeInputHeader(cutting: &rest, into: &header) else { break }
            joined.writeImmutableBuffer(header)
            joined.writeImmutableBuffer(content)
        }
        #expect(joined == copied)
    }

    @Test func anAbortIsOneEmptyRecord() throws {
        var buffer = ByteBuffer()
        FastCGIRequestEncoder.encodeAbort(into: &buffer)
        #expect(try self.records(buffer) == [RawRecord(type: 2, content: [])])
    }
}
