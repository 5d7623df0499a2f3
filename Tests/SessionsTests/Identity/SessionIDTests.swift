import Testing

@testable import Sessions

struct SessionIDTests {
    @Test(arguments: [22, 24, 43, 64])
    func twentyTwoToSixtyFourCharactersOfBase64URLAreAnID(length: Int) {
        #expect(SessionID(String(repeating: "a", count: length)) != nil)
        #expect(SessionID(bytes: Array(repeating: UInt8(ascii: "-"), count: length)) != nil)
    }

    @Test(arguments: ["", "a", String(repeating: "a", count: 21), String(repeating: "a", count: 65)])
    func otherLengthsAreNone(text: String) {
        #expect(SessionID(text) == nil)
        #expect(SessionID(bytes: Array(text.utf8)) == nil)
    }

    @Test func everyByteOutsideTheAlphabetIsRefusedInEveryPlace() {
        let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        for byte in UInt8.min...UInt8.max {
            for place in [0, 11, 23] {
                var bytes = Array(repeating: UInt8(ascii: "x"), count: 24)
                bytes[place] = byte
                #expect((SessionID(bytes: bytes) != nil) == alphabet.contains(byte), "byte \(byte) at \(place)")
            }
        }
    }

    @Test func aGeneratedIDHolds144BitsOfTheGenerator() {
        var ones = Words([.max, .max, .max])
        #expect(SessionID.generate(using: &ones).text == "________________________")
        var zeroes = Words([0, 0, 0])
        #expect(SessionID.generate(using: &zeroes).text == "AAAAAAAAAAAAAAAAAAAAAAAA")
        var words = Words([0x0010_83_10_51_87_ffff, 0x2092_8b_30_d3_8f_0000, 0x4114_93_51_55_97_1234])
        #expect(SessionID.generate(using: &words).text.prefix(8) == "ABCDEFGH")
    }

    @Test func generatedIDsAreValidAndDiffer() {
        var random = SystemRandom()
        var seen: Set<SessionID> = []
        var counts = Array(repeating: 0, count: 256)
        for _ in 0..<20_000 {
            let id = SessionID.generate(using: &random)
            #expect(SessionID(id.text) == id)
            seen.insert(id)
            for byte in id.text.utf8 { counts[Int(byte)] += 1 }
        }
        #expect(seen.count == 20_000)
        // 480,000 characters over 64: chi square with 63 degrees of freedom stays below 120 but for once in 50,000.
        let used = counts.filter { $0 > 0 }
        let expected = 480_000.0 / 64
        #expect(used.count == 64)
        #expect(used.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected } < 120)
    }

    @Test func anIDDoesNotPrint() {
        let id = SessionID("Qm9vdHN0cmFwLXNlc3Npb24x")!
        var dumped = ""
        dump(id, to: &dumped)
        for text in ["\(id)", String(reflecting: id), String(describing: Optional(id)), dumped] {
            #expect(!text.contains("Qm9v"))
        }
    }
}

/// Gives the words of a list, then zeroes.
struct Words: RandomNumberGenerator {
    var words: ArraySlice<UInt64>

    init(_ words: [UInt64]) { self.words = words[...] }

    mutating func next() -> UInt64 { self.words.popFirst() ?? 0 }
}
