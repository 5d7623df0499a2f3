import Testing

@testable import Sessions

struct RequestTokenTests {
    @Test func theTextOfATokenReadsBackAsTheToken() throws {
        var random = SystemRandom()
        for loop in UInt8.min...UInt8.max {
            let token = RequestToken(loop: loop, using: &random)
            #expect(token.text.utf8.count == RequestToken.textLength)
            let read = try #require(RequestToken(token.text.utf8))
            #expect(read == token)
            #expect(read.loop == loop)
            var bytes = [UInt8](repeating: 0, count: RequestToken.textLength)
            bytes.withUnsafeMutableBytes { token.write(to: $0) }
            #expect(String(decoding: bytes, as: UTF8.self) == token.text)
            #expect(token.matches(bytes))
        }
    }

    @Test func everyBitOfTheGeneratorIsInTheText() {
        var texts: Set<String> = []
        for bit in 0..<128 {
            var words = Words(bit < 64 ? [1 << UInt64(bit), 0] : [0, 1 << UInt64(bit - 64)])
            texts.insert(RequestToken(loop: 0, using: &words).text)
        }
        #expect(texts.count == 128)
    }

    @Test func anotherTextDoesNotMatch() throws {
        var random = SystemRandom()
        let token = RequestToken(loop: 3, using: &random)
        let text = Array(token.text.utf8)
        for index in text.indices {
            var other = text
            other[index] = other[index] == UInt8(ascii: "A") ? UInt8(ascii: "E") : UInt8(ascii: "A")
            #expect(!token.matches(other), "character \(index)")
        }
        #expect(!token.matches(text.dropLast()))
        #expect(!token.matches(text + [UInt8(ascii: "A")]))
        #expect(!token.matches([]))
    }

    @Test(arguments: [
        "AAAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAAC", "AAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAA AAAAAAAAAAA",
    ])
    func aTextThatNoTokenHasIsRefused(text: String) {
        #expect(RequestToken(text.utf8) == nil)
    }

    @Test func aTokenDoesNotPrint() {
        var words = Words([1, 2])
        let token = RequestToken(loop: 1, using: &words)
        var dumped = ""
        dump(token, to: &dumped)
        #expect(!"\(token)\(String(reflecting: token))\(dumped)".contains(token.text.prefix(8)))
        #expect("\(token)" == "RequestToken(redacted)")
    }
}
