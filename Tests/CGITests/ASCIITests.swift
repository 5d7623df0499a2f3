import Testing

@testable import CGI

struct ASCIITests {
    @Test func everyByteIsJudgedInEveryPlaceOfAValueOfAnyLength() {
        for byte in UInt8.min...UInt8.max {
            let isValid = byte == 0x09 || byte >= 0x20 && byte != 0x7F
            for length in [1, 8, 15, 16, 17, 31, 32, 33, 40] {
                for place in 0..<length {
                    var value = [UInt8](repeating: UInt8(ascii: "~"), count: length)
                    value[place] = byte
                    if value.withUnsafeBytes(ASCII.isFieldValue) != isValid {
                        Issue.record("\(byte) in place \(place) of \(length)")
                    }
                }
            }
        }
    }

    @Test func aTabDoesNotHideWhatFollows() {
        #expect(Array("\ta~~~~~~~~~~~~~~~~~~~~".utf8).withUnsafeBytes(ASCII.isFieldValue))
        #expect(!Array("\t\u{1}~~~~~~~~~~~~~~~~~~~~".utf8).withUnsafeBytes(ASCII.isFieldValue))
        #expect(!Array("~~~~~~~~~~~~~~\t\u{7F}~~~~".utf8).withUnsafeBytes(ASCII.isFieldValue))
    }

    /// RFC 9110 §5.6.2.
    @Test func aTokenIsOfLettersDigitsAndFifteenMarks() {
        let letters = "abcdefghijklmnopqrstuvwxyz"
        let tokens = Set("!#$%&'*+-.^_`|~0123456789\(letters)\(letters.uppercased())".utf8)
        #expect((UInt8.min...UInt8.max).filter(ASCII.isTokenCharacter) == tokens.sorted())
    }
}
