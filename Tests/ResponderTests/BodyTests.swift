import CGI
import NIOCore
import Synchronization
import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct BodyTests {
    /// Answers with how the body came and how long it was, once it is whole.
    private static func report(_ request: IncomingRequest) async throws {
        let kind =
            switch request.body {
            case .complete: "complete"
            case .streamed(let length): "streamed \(length.map(String.init) ?? "?")"
            }
        let body = try await request.wholeBody()
        let isRight = body == Wire.bytes(body.count)
        try await request.answer("\(kind) \(body.count) \(isRight)")
    }

    @Test(arguments: [0, 1, 8_100, 8_192, 30_000, 65_536])
    func aSmallBodyIsCompleteWhenTheHandlerSeesIt(size: Int) async throws {
        try await Harness.run(handler: Self.report) { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                for _ in 0..<3 {
                    let answer = try await client.exchange(Wire.request(body: Wire.bytes(size)))
                    #expect(answer.text == "complete \(size) true")
                }
            }
        }
    }

    @Test func aSmallBodyIsWaitedForWithoutTheHandler() async throws {
        try await Harness.run(handler: Self.report) { harness in
            let client = try harness.connect()
            let bytes = Wire.head([("CONTENT_LENGTH", "100")]) + Wire.stream(5, Wire.bytes(100), size: 9, padding: 2)
            for byte in bytes.dropLast() { try await client.send([byte]) }
            // Served by the same threads: were the other one with the handler, this would not be the first.
            #expect(try await harness.connect().exchange(Wire.request()).text == "complete 0 true")
            #expect(harness.responder.statistics.requests == 1)
            #expect(try await client.exchange([0]).text == "complete 100 true")
        }
    }

    @Test(arguments: [65_537, 1_000_000, 5_000_000])
    func aLargeBodyIsStreamed(size: Int) async throws {
        try await Harness.run(handler: Self.report) { harness in
            let client = try harness.connectTCP()
            for record in [65_535, 8_000] {
                let bytes =
                    Wire.head([("CONTENT_LENGTH", "\(size)")])
                    + Wire.stream(5, Wire.bytes(size), size: record, padding: 3)
                let answer = try await client.exchange(bytes)
                #expect(answer.text == "streamed \(size) \(size) true")
            }
        }
    }

    @Test func aBodyThatIsEchoedWhileItComesComesBackWhole() async throws {
        try await Harness.run { request in
            while let piece = try await request.nextBodyChunk() { try await request.write(piece) }
            await request.finish()
        } _: { harness in
            let bytes = Wire.bytes(20_000_000)
            for client in [try harness.connect(), try harness.connectTCP()] {
                async let sending: Void = client.sendApart(Wire.request(body: bytes))
                let answer = try await client.answer()
                try await sending
                #expect(answer.hasEnded)
                #expect(answer.output == bytes)
            }
            #expect(harness.responder.statistics.refusals == [:])
        }
    }

    @Test func aBodyOfUnknownLengthIsStreamedUnlessItIsThere() async throws {
        try await Harness.run(handler: Self.report) { harness in
            let client = try harness.connect()
            let there = Wire.head() + Wire.stream(5, Wire.bytes(1_000))
            #expect(try await client.exchange(there).text == "complete 1000 true")
            let bytes = Wire.head() + Wire.stream(5, Wire.bytes(1_000), size: 100)
            try await client.send(Array(bytes[..<(bytes.count - 50)]))
            try await harness.waitFor { $0.requests == 2 }
            #expect(try await client.exchange(Array(bytes[(bytes.count - 50)...])).text == "streamed ? 1000 true")
        }
    }

    @Test(arguments: [1, 3, 5, 8, 60, 1_000, 70_000])
    func aBodyThatComesInPiecesOfAnySizeIsWhole(piece: Int) async throws {
        try await Harness.run({ $0.completeBodyLimit = 10 }, handler: Self.report) { harness in
            let client = try harness.connectTCP()
            let size = piece * 40
            let bytes =
                Wire.head([("CONTENT_LENGTH", "\(size)")]) + Wire.stream(5, Wire.bytes(size), size: 50, padding: 7)
            for start in stride(from: 0, to: bytes.count, by: piece) {
                try await client.send(Array(bytes[start..<min(start + piece, bytes.count)]))
            }
            let answer = try await client.answer()
            #expect(answer.text.hasSuffix(" \(size) true"))
        }
    }

    @Test func whatNobodyAsksForStopsTheSender() async throws {
        let go = Signal()
        try await Harness.run { request in
            await go.wait()
            try await Self.report(request)
        } _: { harness in
            let client = try harness.connect()
            let sent = Mutex(false)
            let size = 3_000_000
            async let sending: Void = {
                try await client.send(Wire.request(body: Wire.bytes(size)))
                sent.withLock { $0 = true }
            }()
            try await harness.waitFor { $0.activeRequests == 1 }
            try await Task.sleep(for: .milliseconds(100))
            #expect(!sent.withLock { $0 })
            go.fire()
            try await sending
            #expect(try await client.answer().text == "streamed \(size) \(size) true")
        }
    }

    @Test(arguments: [
        ("shorter", Wire.head([("CONTENT_LENGTH", "5")]) + Wire.stream(5, [1, 2, 3])),
        ("longer", Wire.head([("CONTENT_LENGTH", "2")]) + Wire.stream(5, [1, 2, 3])),
        ("shorter in pieces", Wire.head([("CONTENT_LENGTH", "100")]) + Wire.stream(5, Wire.bytes(99), size: 1)),
    ])
    func aSmallBodyOfTheWrongLengthIsAnsweredWithoutTheHandler(name: String, bytes: [UInt8]) async throws {
        try await Harness.run(handler: Self.report) { harness in
            let answer = try await harness.connectTCP().exchange(bytes)
            #expect(answer.text.hasPrefix("Status: 400 "))
            #expect(harness.responder.statistics.requests == 0)
        }
    }

    @Test(
        arguments: [
            ("shorter", Wire.stream(5, Wire.bytes(99_999)), .wrongContentLength),
            ("longer", Wire.stream(5, Wire.bytes(100_001)), .wrongContentLength),
            ("aborted", Wire.record(5, Wire.bytes(10)) + Wire.record(2), .aborted),
            ("management record", Wire.record(9, id: 0, Wire.pair("FCGI_MAX_CONNS", "")), .managementRecord),
            ("foreign", Wire.record(5, id: 2), .foreignRequest),
            ("pipelined", Wire.stream(5, Wire.bytes(100_000)) + Wire.request(), .pipelined),
        ] as [(String, [UInt8], RefusalReason)]
    )
    func aStreamedBodyThatIsNotAsAnnouncedNeverEndsCleanly(
        name: String,
        body: [UInt8],
        reason: RefusalReason
    ) async throws {
        let failed = Signal()
        let gone = Signal()
        try await Harness.run { request in
            request.onClientGone { gone.fire() }
            do {
                _ = try await request.wholeBody()
                Issue.record("a clean end")
            } catch {
                #expect((error as? ResponderError)?.code == .clientGone)
                failed.fire()
            }
            await request.finish()
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Wire.head([("CONTENT_LENGTH", "100000")]))
            try await harness.waitFor { $0.activeRequests == 1 }
            await client.sendIgnoringErrors(body)
            await failed.wait()
            await gone.wait()
            #expect(try await client.answer() == RawClient.Answer())
            try await harness.expectRefusals([reason: 1])
            #expect(gone.count == 1)
        }
    }

    @Test func cancellingTheWaitForTheBodyLeavesTheRequestAsItIs() async throws {
        let waiting = Signal()
        let resumed = Signal()
        try await Harness.run { request in
            let first = try await request.nextBodyChunk()?.readableBytes ?? 0
            let task = Task { try await request.nextBodyChunk() }
            waiting.fire()
            try await Task.sleep(for: .milliseconds(20))
            task.cancel()
            let result = await task.result
            #expect(throws: ResponderError(.cancelled, "waiting for the body was cancelled")) { try result.get() }
            resumed.fire()
            let rest = try await request.wholeBody()
            try await request.answer("\(first + rest.count)")
        } _: { harness in
            let client = try harness.connect()
            let bytes = Wire.request(body: Wire.bytes(100_000))
            try await client.send(Array(bytes[..<1_000]))
            await waiting.wait()
            await resumed.wait()
            #expect(try await client.exchange(Array(bytes[1_000...])).text == "100000")
        }
    }

    // MARK: Unread bodies

    @Test func anUnreadBodyIsDrainedAndTheConnectionKept() async throws {
        try await Harness.run { request in
            try await request.answer("early")
        } _: { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                for size in [70_000, 200_000, 900_000] {
                    let bytes = Wire.request(body: Wire.bytes(size))
                    try await client.send(Array(bytes[..<1_000]))
                    #expect(try await client.answer().text == "early")
                    // The rest, and the next request directly behind it.
                    let answer = try await client.exchange(Array(bytes[1_000...]) + Wire.request())
                    #expect(answer.text == "early")
                }
            }
            #expect(harness.responder.statistics.accepted == 2)
        }
    }

    @Test func noByteOfAnUnreadBodyIsTakenForARequest() async throws {
        try await Harness.run { request in
            #expect(request.parameters.string("SCRIPT_FILENAME") != "/etc/passwd")
            try await request.answer("early")
        } _: { harness in
            let attack = Wire.request([("SCRIPT_FILENAME", "/etc/passwd")])
            for offset in 0..<16 {
                let client = try harness.connect()
                for size in [70_000, 100_000] {
                    var body = [UInt8](repeating: 0, count: offset)
                    while body.count < size { body += attack }
                    #expect(try await client.exchange(Wire.request(body: body)).text == "early")
                }
                #expect(try await client.exchange(Wire.request()).text == "early")
            }
            #expect(harness.responder.statistics.requests == 16 * 3)
        }
    }

    @Test func aConnectionIsClosedWhenMoreOfABodyIsUnreadThanIsWorthReading() async throws {
        try await Harness.run({ $0.drainLimit = 200_000 }) { request in
            try await request.answer("early")
        } _: { harness in
            let client = try harness.connect()
            let bytes = Wire.request(body: Wire.bytes(500_000))
            try await client.send(Array(bytes[..<100]))
            #expect(try await client.answer().hasEnded)
            await client.sendIgnoringErrors(Array(bytes[100...]))
            #expect(try await client.isClosed())
            try await harness.expectRefusals([.drainLimit: 1])
        }
    }

    @Test func aConnectionIsClosedWhenTheRestOfAnUnreadBodyDoesNotCome() async throws {
        try await Harness.run({ $0.drainTimeout = .milliseconds(100) }) { request in
            try await request.answer("early")
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Array(Wire.request(body: Wire.bytes(500_000))[..<100]))
            #expect(try await client.answer().hasEnded)
            #expect(try await client.isClosed())
            try await harness.expectRefusals([.drainLimit: 1])
        }
    }

    // MARK: Slow peers

    @Test func aBodyThatDoesNotComeIsGivenUp() async throws {
        let gone = Signal()
        try await Harness.run({ $0.clientTimeout = .milliseconds(200) }) { request in
            request.onClientGone { gone.fire() }
            _ = try await request.wholeBody()
        } _: { harness in
            let streamed = try harness.connect()
            try await streamed.send(Array(Wire.request(body: Wire.bytes(500_000))[..<100]))
            let small = try harness.connect()
            try await small.send(Array(Wire.request(body: Wire.bytes(500))[..<100]))
            #expect(try await streamed.isClosed())
            #expect(try await small.isClosed())
            await gone.wait()
            try await harness.expectRefusals([.bodyTimedOut: 2])
            #expect(harness.responder.statistics.requests == 1)
        }
    }

    @Test func aBodyThatTheBackendDoesNotWantYetIsNotGivenUp() async throws {
        try await Harness.run({ $0.clientTimeout = .milliseconds(100) }) { request in
            try await Task.sleep(for: .milliseconds(400))
            try await Self.report(request)
        } _: { harness in
            let answer = try await harness.connect().exchange(Wire.request(body: Wire.bytes(150_000)))
            #expect(answer.text == "streamed 150000 150000 true")
        }
    }
}
