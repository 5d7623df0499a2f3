import CGI
import Glibc
import NIOCore
import Testing

@testable import Responder

/// Requests and answers as nginx has them.
@Suite(.timeLimit(.minutes(2))) struct ConversationTests {
    @Test func aSmallRequestIsAnsweredInOneWrite() async throws {
        try await Harness.run { request in
            try await request.answer("Content-Type: text/plain\r\n\r\nhello")
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Wire.request())
            let bytes = try await client.read(atMost: 65_536)
            let content = Array("Content-Type: text/plain\r\n\r\nhello".utf8)
            let expected =
                Wire.record(6, content) + [UInt8](repeating: 0, count: (8 - content.count % 8) % 8)
                + Wire.record(6) + Wire.record(3, [UInt8](repeating: 0, count: 8))
            #expect(bytes.count == expected.count)
            #expect(Array(bytes.suffix(24)) == Array(expected.suffix(24)))
        }
    }

    @Test func aConnectionIsKeptForAThousandRequests() async throws {
        try await Harness.run { request in
            try await request.answer(request.parameters.string("NUMBER") ?? "none")
        } _: { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                for number in 0..<1_000 {
                    let id = UInt16(number % 7 + 1)
                    let answer = try await client.exchange(Wire.request(id: id, [("NUMBER", "\(number)")]), id: id)
                    #expect(answer.hasEnded)
                    #expect(answer.text == "\(number)")
                }
            }
            #expect(harness.responder.statistics.accepted == 2)
            #expect(harness.responder.statistics.requests == 2_000)
        }
    }

    @Test func withoutKeepTheConnectionIsClosedBehindTheAnswer() async throws {
        try await Harness.run { request in
            try await request.answer("x")
        } _: { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                let answer = try await client.exchange(Wire.request(keeps: false))
                #expect(answer.hasEnded)
                #expect(try await client.isClosed())
            }
        }
    }

    @Test func parametersComeAsTheyWereSentInTheirOrder() async throws {
        let long = String(repeating: "v", count: 40_000)
        try await Harness.run { request in
            var text = ""
            request.parameters.forEach { name, value in
                text += "\(String(decoding: name, as: UTF8.self))=\(String(decoding: value, as: UTF8.self))\n"
            }
            try await request.answer(text)
        } _: { harness in
            let client = try harness.connect()
            let pairs = [("B", ""), ("A", "=x=\n"), ("LONG", long), ("UMLAUT", "ä")]
            let answer = try await client.exchange(Wire.request(pairs))
            #expect(answer.text == "B=\nA==x=\n\nLONG=\(long)\nUMLAUT=ä\n")
        }
    }

    @Test func repeatedCookiesAreJoinedAndOfOtherNamesTheLastCounts() async throws {
        try await Harness.run { request in
            let parameters = request.parameters
            try await request.answer(
                ["HTTP_COOKIE", "SERVER_NAME", "HTTP_HOST"].map { parameters.string($0) ?? "-" }.joined(separator: "|")
                    + "|\(parameters.count)"
            )
        } _: { harness in
            let client = try harness.connect()
            let answer = try await client.exchange(
                Wire.request([
                    ("HTTP_COOKIE", "a=1"), ("SERVER_NAME", "included"), ("HTTP_COOKIE", "b=2"),
                    ("SERVER_NAME", "own"), ("HTTP_COOKIE", "c=3"), ("HTTP_HOST", "included"),
                    ("HTTP_HOST", "own"),
                ])
            )
            #expect(answer.text == "a=1; b=2; c=3|own|own|3")
            #expect(harness.responder.statistics.repeatedParameters == 4)
        }
    }

    @Test(arguments: [1, 100, 8_120, 8_136, 8_137, 8_200, 65_535, 65_536, 300_000, 3_000_000])
    func anAnswerOfAnySizeComesWhole(size: Int) async throws {
        let bytes = Wire.bytes(size)
        try await Harness.run { request in
            try await request.write(ByteBuffer(bytes: bytes))
            await request.finish()
        } _: { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                for _ in 0..<3 {
                    let answer = try await client.exchange(Wire.request())
                    #expect(answer.hasEnded)
                    #expect(answer.output == bytes)
                }
            }
        }
    }

    @Test func anAnswerInManyPiecesComesWholeAndFlushedPiecesComeAtOnce() async throws {
        let bytes = Wire.bytes(200_000)
        try await Harness.run { request in
            try await request.write(ByteBuffer(bytes: bytes[..<10]))
            try await request.flush()
            // The client asks for more only when it has seen the first ten.
            _ = try await request.wholeBody()
            for start in stride(from: 10, to: bytes.count, by: 777) {
                try await request.write(ByteBuffer(bytes: bytes[start..<min(start + 777, bytes.count)]))
            }
            await request.finish()
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Wire.head([("CONTENT_LENGTH", "100000")]))
            let first = try #require(try await client.record())
            #expect(first.content == Array(bytes[..<10]))
            try await client.send(Wire.stream(5, Wire.bytes(100_000)))
            let rest = try await client.answer()
            #expect(rest.hasEnded)
            #expect(first.content + rest.output == bytes)
        }
    }

    @Test func errorTextComesInOrderWithTheOutputAndItsStreamIsEnded() async throws {
        try await Harness.run { request in
            try await request.write(ByteBuffer(string: "one"))
            try await request.writeErrorText(ByteBuffer(string: "oops"))
            try await request.write(ByteBuffer(string: "two"))
            await request.finish()
        } _: { harness in
            let answer = try await harness.connect().exchange(Wire.request())
            #expect(answer.text == "onetwo")
            #expect(String(decoding: answer.errors, as: UTF8.self) == "oops")
            #expect(answer.types == [6, 7, 6, 7, 6, 3])
        }
    }

    @Test func anAbortedAnswerHasNoEnd() async throws {
        try await Harness.run { request in
            try await request.write(ByteBuffer(string: "half"))
            try await request.flush()
            request.abort()
            await #expect(throws: ResponderError.self) { try await request.write(ByteBuffer(string: "more")) }
        } _: { harness in
            let client = try harness.connect()
            let answer = try await client.exchange(Wire.request())
            #expect(answer.text == "half")
            #expect(!answer.hasEnded)
            try await harness.waitFor { $0.activeRequests == 0 && $0.connections == 0 }
        }
    }

    @Test func aRequestThatIsDroppedIsAborted() async throws {
        try await Harness.run { _ in
        } _: { harness in
            let answer = try await harness.connect().exchange(Wire.request())
            #expect(answer == RawClient.Answer())
        }
    }

    @Test func nothingCanBeWrittenBehindTheEnd() async throws {
        let failed = Signal()
        try await Harness.run { request in
            try await request.answer("x")
            do {
                try await request.write(ByteBuffer(string: "y"))
            } catch  where (error as? ResponderError)?.code == .requestEnded {
                failed.fire()
            }
        } _: { harness in
            let client = try harness.connect()
            for _ in 0..<3 {
                #expect(try await client.exchange(Wire.request()).text == "x")
                await failed.wait()
            }
        }
    }

    @Test func manyConnectionsWithDescriptorsAbove1024AreServed() async throws {
        try await Harness.run { request in
            try await request.answer("x")
        } _: { harness in
            // All that FD_SETSIZE has room for is taken.
            let taken = (0..<1_024).map { _ in dup(0) }
            defer { for descriptor in taken { close(descriptor) } }
            let clients = try (0..<100).map { _ in try harness.connect() }
            for client in clients {
                #expect(try await client.exchange(Wire.request()).hasEnded)
                #expect(client.descriptor > 1_024)
            }
            #expect(harness.responder.statistics.connections == 100)
        }
    }
}
