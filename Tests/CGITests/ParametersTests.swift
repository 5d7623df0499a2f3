import NIOCore
import Testing

@testable import CGI

struct ParametersTests {
    private static func parameters(_ pairs: [(String, String)]) -> Parameters {
        var parameters = Parameters()
        for (name, value) in pairs { parameters.append(name, value) }
        return parameters
    }

    private static func pairs(_ parameters: Parameters) -> [String] {
        var pairs: [String] = []
        parameters.forEach { name, value in
            pairs.append(String(decoding: name, as: UTF8.self) + "=" + String(decoding: value, as: UTF8.self))
        }
        return pairs
    }

    private static func runs(_ parameters: Parameters, atMost length: Int = 65_535) -> [[UInt8]] {
        var runs: [[UInt8]] = []
        parameters.forEachEncodedRun(atMost: length) { runs.append(Array($0)) }
        return runs
    }

    /// A pair as FastCGI 1.0 §3.4 has it.
    private static func encoded(_ name: String, _ value: String) -> [UInt8] {
        func length(_ count: Int) -> [UInt8] {
            count < 128
                ? [UInt8(count)]
                : [0x80 | UInt8(count >> 24), UInt8(count >> 16 & 0xff), UInt8(count >> 8 & 0xff), UInt8(count & 0xff)]
        }
        return length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
    }

    private static let some = [
        ("A", ""), ("SCRIPT_NAME", "/x"), (String(repeating: "N", count: 128), String(repeating: "v", count: 127)),
        ("LONG", String(repeating: "w", count: 70_000)), ("HTTP_COOKIE", "a=b"),
    ]

    @Test func pairsLieInMemoryAsFastCGISendsThem() {
        let parameters = Self.parameters(Self.some)
        let expected = Self.some.flatMap { Self.encoded($0.0, $0.1) }
        #expect(Self.runs(parameters, atMost: .max) == [expected])
        #expect(parameters.maximumEncodedByteCount >= expected.count)
    }

    @Test func pairsThatComeTogetherAreThoseThatComeOneByOne() {
        var together = Self.parameters([("FIRST", "1")])
        let byteCount = Self.some.reduce(0) { $0 + Self.encoded($1.0, $1.1).count }
        together.append(atMost: byteCount) { appender in
            for (name, value) in Self.some {
                Array(name.utf8).withUnsafeBytes { name in
                    Array(value.utf8).withUnsafeBytes { appender.append(name, $0) }
                }
            }
        }
        together.append("LAST", "2")
        let single = Self.parameters([("FIRST", "1")] + Self.some + [("LAST", "2")])
        #expect(Self.pairs(together) == Self.pairs(single))
        #expect(Self.runs(together, atMost: .max) == Self.runs(single, atMost: .max))
    }

    @Test func whatIsRemovedOrReplacedIsLeftOutOfTheRuns() {
        var parameters = Self.parameters([("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")])
        parameters.remove("B")
        parameters.set("C", "5")
        #expect(Self.pairs(parameters) == ["A=1", "D=4", "C=5"])
        #expect(Self.runs(parameters) == [Self.encoded("A", "1"), Self.encoded("D", "4") + Self.encoded("C", "5")])
        parameters.removeAll { _ in true }
        #expect(Self.runs(parameters).isEmpty)
    }

    @Test(arguments: 1...40)
    func aRunIsOfWholePairsAndNoLongerThanItMayBe(length: Int) {
        let pairs = (0..<20).map { ("N\($0)", String(repeating: "v", count: $0)) }
        let runs = Self.runs(Self.parameters(pairs), atMost: length)
        #expect(runs.flatMap { $0 } == pairs.flatMap { Self.encoded($0.0, $0.1) })
        // A single pair may be longer: whoever sends it says what becomes of that.
        let encoded = Set(pairs.map { Self.encoded($0.0, $0.1) })
        for run in runs where run.count > length { #expect(encoded.contains(run)) }
    }

    @Test func aCopyIsNotChangedWithTheOriginal() {
        var parameters = Self.parameters([("A", "1")])
        let copy = parameters
        parameters.set("A", "2")
        parameters.append("B", "3")
        #expect(copy.string("A") == "1")
        #expect(copy.count == 1)
        #expect(parameters.string("A") == "2")
    }
}
