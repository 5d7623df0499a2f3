import Glibc
import NIOCore
import Testing

@testable import Responder

/// What comes from a peer that is no web server, or from one that dies.
@Suite(.timeLimit(.minutes(2))) struct HostilePeerTests {
    private static func hello(_ request: IncomingRequest) async throws {
        try await request.answer("hello")
    }

    @Test(
        arguments: [
            ("management record", Wire.record(9, id: 0, Wire.pair("FCGI_MAX_CONNS", "")), .managementRecord),
            ("foreign request", Wire.begin() + Wire.record(4, id: 2), .foreignRequest),
            ("cut pair", Wire.begin() + Wire.stream(4, [9, 9, 65]) + Wire.record(5), .malformedParameters),
            (
                "giant pair", Wire.begin() + Wire.record(4, [0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe]),
                .malformedParameters
            ),
            ("garbage", Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), .unsupportedVersion),
            ("two requests at once", Wire.request() + Wire.request(), .pipelined),
            ("abort in the head", Wire.begin() + Wire.record(2), .aborted),
            (
                "GET_VALUES in the body", Wire.head() + Wire.record(9, id: 0, Wire.pair("FCGI_MPXS_CONNS", "")),
                .managementRecord
            ),
        ] as [(String, [UInt8], RefusalReason)]
    )
    func whatTheGuardRefusesIsClosedWithoutAnAnswer(name: String, bytes: [UInt8], reason: RefusalReason) async throws {
        try await Harness.run(handler: Self.hello) { harness in
            let client = try harness.connect()
            await client.sendIgnoringErrors(bytes)
            #expect(try await client.isClosed(), "\(name)")
            try await harness.expectRefusals([reason: 1])
            #expect(harness.responder.statistics.requests == 0)
            #expect(try await harness.connect().exchange(Wire.request()).text == "hello")
        }
    }

    @Test(arguments: [
        Wire.head([(String(repeating: "N", count: 300), "x")]), Wire.head((0..<600).map { ("N\($0)", "x") }),
        Wire.head((0..<6).map { ("N\($0)", String(repeating: "v", count: 30_000)) }),
    ])
    func aHeadThatAnOrdinaryClientCanMakeTooLargeIsAnswered(head: [UInt8]) async throws {
        try await Harness.run(handler: Self.hello) { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                await client.sendIgnoringErrors(head + Wire.stream(5, Wire.bytes(100_000)))
                let answer = try await client.answer()
                #expect(answer.text.hasPrefix("Status: 431 "))
                #expect(answer.hasEnded)
                #expect(try await client.isClosed())
            }
            #expect(harness.responder.statistics.requests == 0)
        }
    }

    @Test func aHeadThatDoesNotComeIsGivenUpAndHoldsNobodyUp() async throws {
        try await Harness.run({ $0.headerTimeout = .milliseconds(300) }, handler: Self.hello) { harness in
            let slow = try (0..<50).map { _ in try harness.connect() }
            for (index, client) in slow.enumerated() {
                try await client.send(Array(Wire.request()[..<(1 + index % 30)]))
            }
            let idle = try harness.connect()
            #expect(try await idle.exchange(Wire.request()).text == "hello")
            for client in slow { #expect(try await client.isClosed()) }
            try await harness.expectRefusals([.headTimedOut: 50])
            // An idle connection has no deadline.
            #expect(try await idle.exchange(Wire.request()).text == "hello")
        }
    }

    @Test func peersThatCloseAnywhereInARequestLeaveNothingBehind() async throws {
        try await Harness.run(handler: Self.hello) { harness in
            let request = Wire.request(body: Wire.bytes(50))
            for count in 0..<request.count {
                let client = try harness.connect()
                try await client.send(Array(request[..<count]))
                client.hangUp()
            }
            try await harness.waitFor { $0.connections == 0 && $0.accepted == request.count }
            // Where the end was seen together with the first bytes, there was nothing to refuse.
            #expect(harness.responder.statistics.refusals.keys.allSatisfy { $0 == .disconnected })
            #expect(harness.responder.statistics.requests == 0)
        }
    }

    @Test func threeThousandBrokenConnectionsLeaveNothingBehind() async throws {
        try await Harness.run({ $0.headerTimeout = .seconds(1) }, handler: Self.hello) { harness in
            var random = SystemRandomNumberGenerator()
            let seeds = [
                Wire.request(body: Wire.bytes(300)), Wire.request(keeps: false, [("HTTP_COOKIE", "a=b")]),
                Wire.head([("CONTENT_LENGTH", "70000")]) + Wire.stream(5, Wire.bytes(70_000), size: 9_000, padding: 9),
            ]
            for _ in 0..<3_000 {
                var bytes = seeds[Int.random(in: 0..<3, using: &random)]
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes = (0..<Int.random(in: 0..<600)).map { _ in UInt8.random(in: 0...255) }
                case 1: bytes.removeLast(Int.random(in: 1..<bytes.count))
                default: for _ in 0..<3 { bytes[Int.random(in: 0..<min(400, bytes.count))] = .random(in: 0...255) }
                }
                let client = try harness.connect()
                await client.sendIgnoringErrors(bytes)
                client.hangUp()
            }
            try await harness.waitFor { $0.accepted == 3_000 && $0.connections == 0 && $0.activeRequests == 0 }
            #expect(harness.responder.statistics.refusals[.libraryError] == nil)
            #expect(try await harness.connect().exchange(Wire.request()).text == "hello")
        }
    }

    // MARK: Clients that go away

    @Test func aClientThatGoesAwayIsReportedWhileTheBackendWorks() async throws {
        let gone = Signal()
        let received = Signal()
        try await Harness.run { request in
            let second = Signal()
            request.onClientGone { gone.fire() }
            request.onClientGone { second.fire() }
            received.fire()
            await gone.wait()
            do {
                try await request.write(ByteBuffer(string: "x"))
                Issue.record("written to nobody")
            } catch {
                #expect((error as? ResponderError)?.code == .clientGone)
            }
            // Set too late, called all the same.
            let late = Signal()
            request.onClientGone { late.fire() }
            await late.wait()
            await second.wait()
            await request.finish()
            received.fire()
        } _: { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                try await client.send(Wire.request())
                await received.wait()
                client.hangUp()
                await received.wait()
            }
            #expect(gone.count == 2)
            #expect(harness.responder.statistics.lostRequests == 2)
        }
    }

    @Test(arguments: [
        (Wire.record(2), RefusalReason.aborted), (Wire.request(), .pipelined), (Wire.record(5, [1]), .pipelined),
    ])
    func whatComesWhileTheBackendWorksEndsTheRequest(bytes: [UInt8], reason: RefusalReason) async throws {
        let gone = Signal()
        let received = Signal()
        try await Harness.run { request in
            request.onClientGone { gone.fire() }
            received.fire()
            await gone.wait()
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Wire.request())
            await received.wait()
            try await client.send(bytes)
            #expect(try await client.isClosed())
            try await harness.expectRefusals([reason: 1])
        }
    }

    @Test func aClientThatGoesAwayEndsAWaitForItsBody() async throws {
        let ended = Signal()
        try await Harness.run { request in
            do { while try await request.nextBodyChunk() != nil {} } catch {
                #expect((error as? ResponderError)?.code == .clientGone)
                ended.fire()
            }
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Array(Wire.request(body: Wire.bytes(100_000))[..<50_000]))
            try await harness.waitFor { $0.activeRequests == 1 }
            client.hangUp()
            await ended.wait()
        }
    }

    @Test func aClientThatTakesNothingStopsTheWriterAndIsCutInTime() async throws {
        let ended = Signal()
        try await Harness.run({ $0.writeTimeout = .milliseconds(300) }) { request in
            let piece = ByteBuffer(bytes: Wire.bytes(16_384))
            var written = 0
            do {
                while true {
                    try await request.write(piece)
                    written += piece.readableBytes
                }
            } catch {
                #expect((error as? ResponderError)?.code == .clientGone)
                // Bounded by the socket's buffer and the output limit.
                #expect(written < 10_000_000)
                ended.fire()
            }
        } _: { harness in
            for client in [try harness.connect(), try harness.connectTCP()] {
                try await client.send(Wire.request())
                await ended.wait()
                withExtendedLifetime(client) {}
            }
            try await harness.expectRefusals([.writeTimedOut: 2])
        }
    }

    @Test func aClientThatTakesItsTimeGetsEverything() async throws {
        let bytes = Wire.bytes(1_500_000)
        try await Harness.run({ $0.writeTimeout = .seconds(2) }) { request in
            try await request.write(ByteBuffer(bytes: bytes))
            await request.finish()
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Wire.request(keeps: false))
            // Twice as long as it may take nothing, and so little that the socket reports no room.
            let received = try await client.readSlowly(8_000, every: 100_000, times: 40)
            #expect(received > bytes.count)
            #expect(harness.responder.statistics.refusals == [:])
        }
    }

    @Test func aPeerThatNeverReadsItsAnswersBlocksNobody() async throws {
        let answer = String(repeating: "x", count: 8_000)
        try await Harness.run({ $0.writeTimeout = .milliseconds(500) }) { request in
            try await request.answer(answer)
        } _: { harness in
            for isLocal in [true, false] {
                let client = try isLocal ? harness.connect() : harness.connectTCP()
                let base = harness.responder.statistics
                var number = 0
                // One request at a time, as if the answers were read, until the connection is cut.
                repeat {
                    number += 1
                    await client.sendIgnoringErrors(Wire.request())
                    try await harness.waitFor {
                        $0.requests == base.requests + number && $0.activeRequests == 0
                            || $0.lostRequests > base.lostRequests
                    }
                } while harness.responder.statistics.lostRequests == base.lostRequests
                #expect(number > 10)
                #expect(try await harness.connect().exchange(Wire.request()).text == answer)
            }
            try await harness.waitFor { $0.refusals.values.reduce(0, +) == 2 }
        }
    }
}
