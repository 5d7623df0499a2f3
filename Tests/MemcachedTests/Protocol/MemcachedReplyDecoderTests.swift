import NIOCore
import NIOTestUtils
import Testing

@testable import Memcached

@Suite struct MemcachedReplyDecoderTests {
    typealias Reply = MemcachedWireReply

    private static func decoder() -> MemcachedReplyDecoder { MemcachedReplyDecoder(maximumValueLength: 1_000) }

    /// All replies in `text`; throws what the decoder throws.
    private func decode(_ text: String) throws -> [Reply] {
        var decoder = Self.decoder()
        var buffer = ByteBuffer(string: text)
        var replies = [Reply]()
        while let reply = try decoder.decode(buffer: &buffer) { replies.append(reply) }
        return replies
    }

    private static let settings = {
        var report = MemcachedWireReply.Report()
        report.settings.itemSizeMaximum = 4_096
        report.settings.casEnabled = false
        return report
    }()

    private static let statistics = {
        var report = MemcachedWireReply.Report()
        report.statistics.uptime = 7
        report.statistics.items = 3
        report.statistics.bytes = 99
        report.statistics.byteLimit = 67_108_864
        report.statistics.evictions = 12
        report.statistics.connectionLimitHits = 2
        return report
    }()

    private static let replies: [(String, [Reply])] = [
        ("HD c15 O2\r\n", [.stored(.init(token: 15, opaque: 2))]),
        ("HD\r\n", [.stored(.init())]),
        ("EN O7\r\n", [.miss(.init(opaque: 7))]),
        ("EN\r\n", [.miss(.init())]),
        ("NS c0 O3\r\n", [.notStored(.init(token: 0, opaque: 3))]),
        ("EX c0 O4\r\n", [.exists(.init(token: 0, opaque: 4))]),
        ("NF c0 O5\r\n", [.notFound(.init(token: 0, opaque: 5))]),
        ("MN\r\n", [.noop]),
        (
            "VA 3 t100 c1 O6\r\nabc\r\n",
            [.value(ByteBuffer(string: "abc"), .init(token: 1, secondsToLive: 100, opaque: 6))]
        ),
        (
            "VA 0 t-1 c18446744073709551615 O18446744073709551615 W Z\r\n\r\n",
            [.value(ByteBuffer(), .init(token: .max, secondsToLive: -1, opaque: .max))]
        ),
        (
            "VA 6 O1 c1 t1\r\nEN\r\n\r\n\r\n",
            [.value(ByteBuffer(string: "EN\r\n\r\n"), .init(token: 1, secondsToLive: 1, opaque: 1))]
        ),
        ("VERSION 1.6.18\r\n", [.version("1.6.18")]),
        ("STAT maxbytes 67\r\nSTAT item_size_max 4096\r\nSTAT cas_enabled no\r\nEND\r\n", [.report(Self.settings)]),
        ("END\r\n", [.report(MemcachedWireReply.Report())]),
        (
            "STAT uptime 7\r\nSTAT curr_items 3\r\nSTAT bytes 99\r\nSTAT limit_maxbytes 67108864\r\n"
                + "STAT evictions 12\r\nSTAT listen_disabled_num 2\r\nSTAT evictions on\r\nEND\r\n",
            [.report(Self.statistics)]
        ),
        ("SERVER_ERROR object too large for cache\r\n", [.serverError(.tooLarge)]),
        ("SERVER_ERROR out of memory storing object\r\n", [.serverError(.outOfMemory)]),
        ("SERVER_ERROR\r\n", [.serverError(.other)]),
        ("CLIENT_ERROR invalid flag\r\n", [.clientError(dataWasSwallowed: true)]),
        ("CLIENT_ERROR bad data chunk\r\n", [.clientError(dataWasSwallowed: false)]),
        ("CLIENT_ERROR bad command line format\r\n", [.clientError(dataWasSwallowed: false)]),
        ("CLIENT_ERROR unauthenticated\r\n", [.refusal(.unauthenticated)]),
        ("ERROR\r\n", [.refusal(.unknownCommand)]),
        ("ERROR Too many open connections\r\n", [.refusal(.tooManyConnections)]),
    ]

    @Test func everyReplyIsDecodedHoweverItIsCut() throws {
        try ByteToMessageDecoderVerifier.verifyDecoder(
            stringInputOutputPairs: Self.replies,
            decoderFactory: Self.decoder
        )
    }

    @Test(arguments: [
        "\r\n", "\n", "HD\n", "XX\r\n", "hd\r\n", " \r\n", "HD cx\r\n", "HD c\r\n", "HD c-1\r\n", "HD O1x\r\n",
        "VA\r\n", "VA x c1\r\n", "VA -1 c1\r\n", "VA 1001 t1 c1 O1\r\n", "VA 99999999999999999999 c1\r\n",
        "VA 18446744073709551615 c1\r\n", "VA 3 c1\r\nabcd\r\n", "VA 3 c1\r\nabc\n\n", "VA 3 c18446744073709551616\r\n",
        "VA 1 t99999999999999999999 c1\r\n", "STAT\r\n", "STAT a b\r\nMN\r\n", "STAT item_size_max x\r\n",
        "BUSY\r\n", "STORED\r\n", "VALUE k 0 3\r\n", "VERSION \u{1B}[31m\r\n", "\0\r\n",
        "VERSION " + String(repeating: "1", count: 65) + "\r\n",
        String(repeating: "x", count: 2_048), "HD " + String(repeating: " ", count: 2_048) + "\r\n",
        String(repeating: "STAT a b\r\n", count: 1_025),
    ]) func whatMemcachedWouldNotSayIsOutOfStep(text: String) throws {
        let error = #expect(throws: MemcachedError.self) { try self.decode(text) }
        #expect(error?.code == .outOfStep)
    }

    @Test func aLineOf2047BytesIsStillALine() throws {
        let line = "HD c1" + String(repeating: " W", count: 1_020)
        #expect(line.utf8.count == 2_045)
        #expect(try self.decode(line + "\r\n") == [.stored(.init(token: 1))])
        #expect(throws: MemcachedError.self) { try self.decode(line + "  \r\n") }
    }

    @Test func randomBytesNeverTrap() throws {
        var generator = SeededGenerator(seed: 1)
        let words = Self.replies.map(\.0) + ["\r\n", "VA ", "0", "99", " ", "c", "O", "STAT ", "END"]
        for _ in 0..<20_000 {
            var bytes = [UInt8]()
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                if Bool.random(using: &generator) {
                    bytes += words.randomElement(using: &generator).map { Array($0.utf8) } ?? []
                } else {
                    bytes += (0..<3).map { _ in UInt8.random(in: 0...255, using: &generator) }
                }
            }
            if !bytes.isEmpty, Bool.random(using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            var decoder = Self.decoder()
            var buffer = ByteBuffer(bytes: bytes)
            // The number of replies is bounded by the bytes: each takes at least four.
            var replies = 0
            while let reply = try? decoder.decode(buffer: &buffer) {
                replies += 1
                if case .value(let value, _) = reply { #expect(value.readableBytes <= 1_000) }
            }
            #expect(replies <= bytes.count / 4)
        }
    }
}

/// SplitMix64: the same bytes in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
