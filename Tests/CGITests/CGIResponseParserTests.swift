import CGI
import NIOCore
import Testing

struct CGIResponseParserTests {
    struct Good: Sendable, CustomTestStringConvertible {
        let input: String
        let status: Int
        var reason = ""
        let fields: [String]
        var body = ""
        var testDescription: String { self.input.debugDescription }
    }

    static let goodHeads: [Good] = [
        Good(input: "Content-Type: text/html\r\n\r\n", status: 200, fields: ["Content-Type: text/html"]),
        Good(input: "Content-Type: text/html\n\n", status: 200, fields: ["Content-Type: text/html"]),
        Good(input: "Content-Type: text/html\r\n\n", status: 200, fields: ["Content-Type: text/html"]),
        Good(input: "A: b\n\r\n", status: 200, fields: ["A: b"]),
        Good(input: "Status: 404 Not Found\r\n\r\n", status: 404, reason: "Not Found", fields: []),
        Good(input: "status:404\n\n", status: 404, fields: []),
        Good(input: "STATUS: 599\n\n", status: 599, fields: []),
        Good(input: "Status: 200   OK\n\n", status: 200, reason: "OK", fields: []),
        Good(input: "Status: 200 \n\n", status: 200, fields: []),
        Good(input: "Status: 204\nStatus: 204 None\n\n", status: 204, fields: []),
        Good(input: "Location: /there\n\n", status: 302, fields: ["Location: /there"]),
        Good(input: "location: http://x/\nA: b\n\n", status: 302, fields: ["location: http://x/", "A: b"]),
        Good(input: "Status: 201\nLocation: /new\n\n", status: 201, fields: ["Location: /new"]),
        Good(input: "Location: /new\nStatus: 200\n\n", status: 200, fields: ["Location: /new"]),
        Good(input: "A:b\nA: c\n\n", status: 200, fields: ["A: b", "A: c"]),
        Good(input: "A: \t b c \t\n\n", status: 200, fields: ["A: b c"]),
        Good(input: "A: b\tc\n\n", status: 200, fields: ["A: b\tc"]),
        Good(input: "A:\n\n", status: 200, fields: ["A: "]),
        Good(input: "A: b: c\n\n", status: 200, fields: ["A: b: c"]),
        Good(input: "A: \u{E9}\u{20AC}\n\n", status: 200, fields: ["A: \u{E9}\u{20AC}"]),
        Good(input: "!#$%&'*+-.^_`|~09azAZ: x\n\n", status: 200, fields: ["!#$%&'*+-.^_`|~09azAZ: x"]),
        Good(input: "Content-Length: 5\n\nhello", status: 200, fields: ["Content-Length: 5"], body: "hello"),
        Good(
            input: "Content-Length: 5\ncontent-length: 05\n\n",
            status: 200,
            fields: ["Content-Length: 5"]
        ),
        Good(input: "Transfer-Encoding: chunked\nConnection: close\nA: b\n\n", status: 200, fields: ["A: b"]),
        Good(input: "TRANSFER-ENCODING: x\n\n0\r\n\r\n", status: 200, fields: [], body: "0\r\n\r\n"),
        Good(input: "\r\nbody", status: 200, fields: [], body: "body"),
        Good(input: "\nA: b\n\n", status: 200, fields: [], body: "A: b\n\n"),
        Good(input: "A: b\n\n\r\n\0\u{1}", status: 200, fields: ["A: b"], body: "\r\n\0\u{1}"),
    ]

    @Test(arguments: goodHeads)
    func aHeadIsReadWhereverItIsCut(_ good: Good) throws {
        let input = ByteBuffer(string: good.input)
        for cut in 0...input.readableBytes {
            var first = input
            let second = first
            first = second.getSlice(at: 0, length: cut)!
            let rest = second.getSlice(at: cut, length: input.readableBytes - cut)!
            try self.check(good, pieces: [first, rest])
        }
        try self.check(good, pieces: input.readableBytesView.map { ByteBuffer(bytes: [$0]) })
    }

    private func check(_ good: Good, pieces: [ByteBuffer]) throws {
        var parser = CGIResponseParser()
        var head: CGIResponseHead?
        var body = ByteBuffer()
        for piece in pieces {
            if head == nil {
                guard let (parsed, rest) = try parser.receive(piece) else { continue }
                head = parsed
                body.writeImmutableBuffer(rest)
            } else {
                body.writeImmutableBuffer(piece)
            }
        }
        try parser.end()
        #expect(head?.status == good.status)
        #expect(head?.reason == good.reason)
        #expect(head?.fields.map { "\($0.name): \(String(buffer: $0.value))" } == good.fields)
        #expect(String(buffer: body) == good.body)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let input: String
        let error: CGIResponseError
        var testDescription: String { self.input.debugDescription }
        init(_ input: String, _ error: CGIResponseError) {
            self.input = input
            self.error = error
        }
    }

    static let hostileHeads: [Bad] = [
        Bad("Status: 100\n\n", .invalidStatus),
        Bad("Status: 100 Continue\r\n\r\n", .invalidStatus),
        Bad("Status: 101 Switching Protocols\n\n", .invalidStatus),
        Bad("Status: 103\n\n", .invalidStatus),
        Bad("Status: 199\n\n", .invalidStatus),
        Bad("Status: 600\n\n", .invalidStatus),
        Bad("Status: 999\n\n", .invalidStatus),
        Bad("Status: 000\n\n", .invalidStatus),
        Bad("Status: abc\n\n", .invalidStatus),
        Bad("Status: \n\n", .invalidStatus),
        Bad("Status: 20\n\n", .invalidStatus),
        Bad("Status: 2000\n\n", .invalidStatus),
        Bad("Status: 200OK\n\n", .invalidStatus),
        Bad("Status: +200\n\n", .invalidStatus),
        Bad("Status: -200\n\n", .invalidStatus),
        Bad("Status: 2e2\n\n", .invalidStatus),
        Bad("Status: 0x1\n\n", .invalidStatus),
        Bad("Status: HTTP/1.1 200 OK\n\n", .invalidStatus),
        Bad("Status: 200\nStatus: 404\n\n", .differentStatuses),
        Bad("HTTP/1.1 200 OK\nA: b\n\n", .lineWithoutColon),
        Bad("no colon here\n\n", .lineWithoutColon),
        Bad("A: b\nno colon\n\n", .lineWithoutColon),
        Bad("<html>\n\n", .lineWithoutColon),
        Bad("\rA: b\n\n", .invalidFieldName),
        Bad(": value\n\n", .invalidFieldName),
        Bad("A B: c\n\n", .invalidFieldName),
        Bad("A : c\n\n", .invalidFieldName),
        Bad("A\t: c\n\n", .invalidFieldName),
        Bad("A\0: c\n\n", .invalidFieldName),
        Bad("A\rB: c\n\n", .invalidFieldName),
        Bad("\u{E9}: c\n\n", .invalidFieldName),
        Bad("A(b): c\n\n", .invalidFieldName),
        Bad("A/b: c\n\n", .invalidFieldName),
        Bad("\"A\": c\n\n", .invalidFieldName),
        Bad("A@b: c\n\n", .invalidFieldName),
        Bad("<a href=\"http://x\">\n\n", .invalidFieldName),
        Bad(" A: b\n\n", .foldedLine),
        Bad("A: b\n c\n\n", .foldedLine),
        Bad("A: b\r\n\tc\r\n\r\n", .foldedLine),
        Bad("A: b\n \n\n", .foldedLine),
        Bad("A: b\rc\n\n", .invalidFieldValue),
        Bad("A: b\r\r\n\n", .invalidFieldValue),
        Bad("A: b\0\n\n", .invalidFieldValue),
        Bad("A: \u{1}\n\n", .invalidFieldValue),
        Bad("A: \u{1B}[0m\n\n", .invalidFieldValue),
        Bad("A: \u{7F}\n\n", .invalidFieldValue),
        Bad("A: \u{B}\n\n", .invalidFieldValue),
        Bad("Connection: \0\n\n", .invalidFieldValue),
        Bad("Status: 200 \u{1}\n\n", .invalidFieldValue),
        Bad("Content-Length: 5\nContent-Length: 6\n\n", .differentContentLengths),
        Bad("Content-Length: \n\n", .invalidContentLength),
        Bad("Content-Length: abc\n\n", .invalidContentLength),
        Bad("Content-Length: -1\n\n", .invalidContentLength),
        Bad("Content-Length: +1\n\n", .invalidContentLength),
        Bad("Content-Length: 1 2\n\n", .invalidContentLength),
        Bad("Content-Length: 5, 5\n\n", .invalidContentLength),
        Bad("Content-Length: 0x10\n\n", .invalidContentLength),
        Bad("Content-Length: 1.0\n\n", .invalidContentLength),
        Bad("Content-Length: 99999999999999999999\n\n", .invalidContentLength),
        Bad("Content-Length: 9223372036854775808\n\n", .invalidContentLength),
        Bad("", .endedInsideHead),
        Bad("A: b", .endedInsideHead),
        Bad("A: b\r\n", .endedInsideHead),
        Bad("A: b\r\n\r", .endedInsideHead),
        Bad(String(repeating: "x", count: 32_769), .headTooLong),
        Bad(String(repeating: "A: b\n", count: 6_554) + "\n", .tooManyFields),
        Bad(String(repeating: "Ab: \(String(repeating: "c", count: 60))\n", count: 600) + "\n", .headTooLong),
        Bad("A: \(String(repeating: "c", count: 32_768))\n\n", .headTooLong),
        Bad("\(String(repeating: "A", count: 40_000)): c\n\n", .headTooLong),
    ]

    @Test(arguments: hostileHeads)
    func aHostileHeadIsRefusedInOnePieceAndInBytes(_ bad: Bad) {
        let input = ByteBuffer(string: bad.input)
        #expect(throws: bad.error) { try self.parse([input]) }
        guard input.readableBytes < 1_000 else { return }
        #expect(throws: bad.error) { try self.parse(input.readableBytesView.map { ByteBuffer(bytes: [$0]) }) }
    }

    private func parse(_ pieces: [ByteBuffer]) throws {
        var parser = CGIResponseParser()
        for piece in pieces where try parser.receive(piece) != nil { return }
        try parser.end()
    }

    @Test func separateFieldsHaveALimitOfTheirOwn() throws {
        let limits = CGIResponseLimits(
            maximumHeadLength: 100,
            separateFields: ["Session-Data"],
            maximumSeparateLength: 10_000
        )
        let value = String(repeating: "d", count: 9_000)
        var parser = CGIResponseParser(limits: limits)
        let parsed = try parser.receive(ByteBuffer(string: "A: b\nSESSION-data: \(value)\n\n"))
        #expect(parsed?.head.first("session-data").map { String(buffer: $0) } == value)

        var inPieces = CGIResponseParser(limits: limits)
        var head: CGIResponseHead?
        for byte in "Session-Data: \(value)\nA: b\n\n".utf8 {
            if let (parsed, _) = try inPieces.receive(ByteBuffer(bytes: [byte])) { head = parsed }
        }
        #expect(head?.fields.count == 2)
    }

    @Test func separateFieldsBeyondTheirLimitAreRefusedBeforeTheLineEnds() {
        let limits = CGIResponseLimits(
            maximumHeadLength: 100,
            separateFields: ["session-data"],
            maximumSeparateLength: 1_000
        )
        var parser = CGIResponseParser(limits: limits)
        #expect(throws: CGIResponseError.separateFieldsTooLong) {
            _ = try parser.receive(ByteBuffer(string: "Session-Data: \(String(repeating: "d", count: 1_000))"))
        }
        var together = CGIResponseParser(limits: limits)
        let field = "Session-Data: \(String(repeating: "d", count: 400))\n"
        #expect(throws: CGIResponseError.separateFieldsTooLong) {
            _ = try together.receive(ByteBuffer(string: field + field + field + "\n"))
        }
    }

    @Test func anOrdinaryFieldDoesNotProfitFromTheSeparateLimit() {
        var parser = CGIResponseParser(
            limits: CGIResponseLimits(
                maximumHeadLength: 100,
                separateFields: ["session-data"],
                maximumSeparateLength: 10_000
            )
        )
        #expect(throws: CGIResponseError.headTooLong) {
            _ = try parser.receive(ByteBuffer(string: "Session-Datum: \(String(repeating: "d", count: 200))\n"))
        }
    }

    @Test func randomBytesGiveAValidHeadOrAnError() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("Status: 20\r\n\t ContentLength:-\0\u{7F}ab".utf8)
        for _ in 0..<20_000 {
            var parser = CGIResponseParser(
                limits: CGIResponseLimits(maximumHeadLength: 40, separateFields: ["a"], maximumSeparateLength: 20)
            )
            do throws(CGIResponseError) {
                for _ in 0..<4 {
                    let length = Int.random(in: 0...16, using: &generator)
                    let piece = (0..<length).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
                    guard let (head, _) = try parser.receive(ByteBuffer(bytes: piece)) else { continue }
                    #expect((200...599).contains(head.status))
                    #expect(head.fields.allSatisfy { !$0.name.isEmpty && !$0.value.readableBytesView.contains(0) })
                    break
                }
            } catch {
                #expect(!error.rawValue.isEmpty)
            }
        }
    }
}
