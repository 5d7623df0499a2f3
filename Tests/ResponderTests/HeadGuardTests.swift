import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct HeadGuardTests {
    private func verdict(_ bytes: [UInt8]) -> HeadGuard.Verdict {
        var head = HeadGuard()
        return bytes.withUnsafeBytes { head.examine($0) }
    }

    /// The same bytes in two pieces.
    private func verdict(_ bytes: [UInt8], splitAt position: Int) -> HeadGuard.Verdict {
        var head = HeadGuard()
        let first = bytes[..<position].withUnsafeBytes { head.examine($0) }
        guard first == .wait else { return first }
        switch bytes[position...].withUnsafeBytes({ head.examine($0) }) {
        case .complete(let count): return .complete(position + count)
        case let other: return other
        }
    }

    @Test func aHeadIsCompleteAtItsEndWhereverItIsSplit() {
        let head = Wire.head([("CONTENT_LENGTH", "12"), ("A", String(repeating: "x", count: 200))])
        let bytes = head + Wire.record(5, [1, 2, 3])
        for position in 0...bytes.count {
            #expect(self.verdict(bytes, splitAt: position) == .complete(head.count))
        }
        for count in 0..<head.count {
            #expect(self.verdict(Array(bytes[..<count])) == .wait)
        }
    }

    @Test func recordsOfOneByteWithPaddingAreTakenByteByByte() {
        let pairs = Wire.pairs([("NAME", "value"), ("LONG", String(repeating: "v", count: 300))])
        let bytes = Wire.begin(keeps: false) + Wire.stream(4, pairs, size: 1, padding: 255)
        var head = HeadGuard()
        for byte in bytes.dropLast() {
            #expect([byte].withUnsafeBytes { head.examine($0) } == .wait)
        }
        #expect([0].withUnsafeBytes { head.examine($0) } == .complete(1))
        #expect(!head.keepsConnection)
        #expect(head.requestID == 1)
    }

    @Test(
        arguments: [
            ("12", 12), ("0", 0), ("", nil), ("9223372036854775807", Int.max),
        ] as [(String, Int?)]
    )
    func contentLengthIsReadWhereverItIsSplit(text: String, length: Int?) {
        let bytes = Wire.head([("CONTENT_TYPE__", "7"), ("CONTENT_LENGTH", text), ("CONTENT_LENGT2", "8")])
        for position in 0...bytes.count {
            var head = HeadGuard()
            _ = bytes[..<position].withUnsafeBytes { head.examine($0) }
            if position < bytes.count { _ = bytes[position...].withUnsafeBytes { head.examine($0) } }
            #expect(head.contentLength == length)
        }
    }

    @Test(arguments: ["-1", "+1", "1 ", "0x10", "1e3", "abc", "9223372036854775808", "99999999999999999999999"])
    func aContentLengthThatIsNoNumberIsRefused(text: String) {
        #expect(self.verdict(Wire.head([("CONTENT_LENGTH", text)])) == .refuse(.malformedContentLength))
    }

    private static let longCount = [UInt8](arrayLiteral: 0xff, 0xff, 0xff, 0xfe)

    @Test(
        arguments: [
            ("version 0", Wire.record(1, version: 0, [0, 1, 0, 0, 0, 0, 0, 0]), .unsupportedVersion),
            ("version 2", Wire.begin() + Wire.record(4, version: 2, [1, 1, 65, 66]), .unsupportedVersion),
            ("management record first", Wire.record(9, id: 0, [1, 0, 65]), .managementRecord),
            ("management record between", Wire.begin() + Wire.record(9, id: 0), .managementRecord),
            ("unknown management record", Wire.begin() + Wire.record(77, id: 0, [1, 1, 65, 66]), .managementRecord),
            ("begin of request 0", Wire.begin(id: 0), .managementRecord),
            ("foreign request", Wire.begin() + Wire.record(4, id: 2, [1, 1, 65, 66]), .foreignRequest),
            ("empty record of a foreign request", Wire.begin() + Wire.record(4, id: 2), .foreignRequest),
            ("parameters first", Wire.record(4, [1, 1, 65, 66]), .unexpectedRecord),
            ("second begin", Wire.begin() + Wire.begin(), .unexpectedRecord),
            ("body before the end of the head", Wire.begin() + Wire.record(5, [1]), .unexpectedRecord),
            ("unknown type", Wire.begin() + Wire.record(42, [1]), .unexpectedRecord),
            ("short begin", Wire.record(1, [0, 1, 0]), .unexpectedRecord),
            ("long begin", Wire.record(1, [0, 1, 0, 0, 0, 0, 0, 0, 0]), .unexpectedRecord),
            ("padded begin", Wire.record(1, padding: 1, [0, 1, 0, 0, 0, 0, 0, 0]), .unexpectedPadding),
            ("padded end", Wire.begin() + Wire.record(4, padding: 8), .unexpectedPadding),
            ("authorizer", Wire.begin(role: 2), .unsupportedRole),
            ("filter", Wire.begin(role: 3), .unsupportedRole),
            ("role 0", Wire.begin(role: 0), .unsupportedRole),
            ("abort", Wire.begin() + Wire.record(2), .aborted),
            ("empty name", Wire.head([("", "x")]), .malformedName),
            ("= in a name", Wire.head([("A=B", "x")]), .malformedName),
            ("NUL in a name", Wire.head([("A\0B", "x")]), .malformedName),
            ("NUL in a value", Wire.head([("A", "x\0y")]), .malformedValue),
            ("cut pair", Wire.begin() + Wire.stream(4, [1, 5, 65, 66]), .malformedParameters),
            ("cut length", Wire.begin() + Wire.stream(4, [0x80, 0]), .malformedParameters),
            ("2 GB name", Wire.begin() + Wire.record(4, longCount + longCount), .malformedParameters),
            (
                "1 GB name and value", Wire.begin() + Wire.record(4, [0xc0, 0, 0, 0, 0xc0, 0, 0, 0]),
                .malformedParameters
            ),
            ("2 GB name, empty value", Wire.begin() + Wire.record(4, longCount + [0]), .malformedParameters),
            ("2 GB value", Wire.begin() + Wire.record(4, [1] + longCount + [65]), .malformedParameters),
            ("long name", Wire.head([(String(repeating: "N", count: 257), "x")]), .longName),
            ("many parameters", Wire.head((0..<513).map { ("N\($0)", "") }), .manyParameters),
            ("long head", Wire.head((0..<5).map { ("N\($0)", String(repeating: "v", count: 27_000)) }), .longHead),
        ] as [(String, [UInt8], RefusalReason)]
    )
    func whatNoWebServerSendsIsRefused(name: String, bytes: [UInt8], reason: RefusalReason) {
        #expect(self.verdict(bytes) == .refuse(reason), "\(name)")
        // The same byte by byte.
        var head = HeadGuard()
        var verdicts = bytes.map { byte in [byte].withUnsafeBytes { head.examine($0) } }
        verdicts.removeAll { $0 == .wait }
        #expect(verdicts.first == .refuse(reason), "\(name)")
    }

    @Test func theLimitsThemselvesPass() {
        let names = (0..<511).map { ("N\($0)", "") } + [(String(repeating: "N", count: 256), "x")]
        let many = Wire.head(names)
        #expect(self.verdict(many) == .complete(many.count))
        let long = Wire.head((0..<5).map { ("N\($0)", String(repeating: "v", count: 26_000)) })
        #expect(self.verdict(long) == .complete(long.count))
    }

    /// Whole pairs are looked at in one step, cut ones byte by byte: both come to the same.
    @Test func parametersAreJudgedAlikeWhereverTheyAreSplit() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ_".utf8)
        for _ in 0..<2_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                var name = (0..<Int.random(in: 1...20, using: &generator)).map { _ in
                    alphabet.randomElement(using: &generator)!
                }
                var value = (0..<Int.random(in: 0...30, using: &generator)).map { _ in
                    UInt8.random(in: 1...255, using: &generator)
                }
                switch Int.random(in: 0..<20, using: &generator) {
                case 0: name[name.count / 2] = [0, UInt8(ascii: "=")].randomElement(using: &generator)!
                case 1: value.append(0)
                case 2: name = Array("CONTENT_LENGTH".utf8)
                case 3: (name, value) = (Array("CONTENT_LENGTH".utf8), Array("12".utf8))
                case 4: name = []
                default: break
                }
                bytes += [UInt8(name.count), UInt8(value.count)] + name + value
            }
            if Bool.random(using: &generator) {
                bytes.removeLast(min(bytes.count, Int.random(in: 0...3, using: &generator)))
            }
            var whole = ParameterGuard()
            var cut = ParameterGuard()
            let verdict = bytes.withUnsafeBytes { whole.examine($0) }
            var cutVerdict: RefusalReason?
            for byte in bytes where cutVerdict == nil { cutVerdict = [byte].withUnsafeBytes { cut.examine($0) } }
            #expect(verdict == cutVerdict, "\(bytes)")
            if verdict == nil {
                #expect(whole.contentLength == cut.contentLength, "\(bytes)")
                #expect(whole.isBetweenPairs == cut.isBetweenPairs, "\(bytes)")
            }
        }
    }
}
