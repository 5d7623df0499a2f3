import Crypto
import Testing

@testable import Sessions

@Suite struct MD5Tests {
    // Over three blocks and all the lengths at which the padding needs one more.
    @Test func everyLengthHasTheDigestOfSwiftCrypto() {
        for length in 0...200 {
            let text = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 31 + length) }
            let words = text.withUnsafeBytes { MD5.words($0) }
            let bytes = (0..<4).flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: words[word] >> ($0 * 8)) } }
            #expect(bytes == Array(Insecure.MD5.hash(data: text)), "\(length) bytes")
        }
    }
}
