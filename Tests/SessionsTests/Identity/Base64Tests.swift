import Foundation
import NIOCore
import Testing

@testable import Sessions

struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func theVectorsOfRFC4648Section10Hold(plain: String, encoded: String) throws {
        var buffer = ByteBuffer()
        Base64.encode(ByteBuffer(string: plain), into: &buffer)
        #expect(String(buffer: buffer) == encoded)
        var decoded = ByteBuffer()
        try Base64.decode(ByteBuffer(string: encoded), into: &decoded)
        #expect(String(buffer: decoded) == plain)
    }

    @Test func everyLengthAgreesWithFoundation() throws {
        var random = SystemRandom()
        for length in 0..<300 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            var encoded = ByteBuffer(string: "before")
            Base64.encode(ByteBuffer(bytes: bytes), into: &encoded)
            #expect(String(buffer: encoded) == "before" + Data(bytes).base64EncodedString())
            encoded.moveReaderIndex(forwardBy: 6)
            var decoded = ByteBuffer(string: "before")
            try Base64.decode(encoded, into: &decoded)
            #expect(Array(decoded.readableBytesView) == Array("before".utf8) + bytes)
        }
    }

    @Test func aTextInPiecesCutAnywhereIsTheSame() throws {
        let plain = (0..<64).map { UInt8($0 * 4) }
        var encoded = ByteBuffer()
        Base64.encode(ByteBuffer(bytes: plain), into: &encoded)
        let length = encoded.readableBytes
        for first in 0...length {
            for second in stride(from: first, through: length, by: 3) {
                var decoder = Base64.Decoder()
                var decoded = ByteBuffer()
                try decoder.decode(encoded.getSlice(at: 0, length: first)!, into: &decoded)
                try decoder.decode(encoded.getSlice(at: first, length: second - first)!, into: &decoded)
                try decoder.decode(encoded.getSlice(at: second, length: length - second)!, into: &decoded)
                try decoder.finish()
                #expect(Array(decoded.readableBytesView) == plain, "cut at \(first) and \(second)")
            }
        }
    }

    @Test func everyByteOutsideTheAlphabetIsRefusedInEveryPlace() {
        let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for byte in UInt8.min...UInt8.max where !alphabet.contains(byte) {
            for place in 0..<20 {
                var text = Array("AAAAAAAAAAAAAAAAAAAA".utf8)
                text[place] = byte
                // Padding is right at the very end.
                if byte == UInt8(ascii: "="), place == 19 { continue }
                var decoded = ByteBuffer(string: "kept")
                #expect(throws: Base64.Failure.invalidByte, "byte \(byte) at \(place)") {
                    try Base64.decode(ByteBuffer(bytes: text), into: &decoded)
                }
                #expect(String(buffer: decoded) == "kept")
            }
        }
    }

    @Test(arguments: [
        ("A", Base64.Failure.invalidLength), ("AA", .invalidLength), ("AAA", .invalidLength), ("AAAAA", .invalidLength),
        ("AA=", .invalidLength), ("=", .invalidLength), ("====", .invalidByte), ("A===", .invalidByte),
        ("AA=A", .invalidByte), ("AA==AAAA", .invalidByte), ("AA==AAAAAAAA", .invalidByte), ("AA===", .invalidByte),
        ("AB==", .notCanonical), ("AAB=", .notCanonical), ("AA\n==", .invalidByte), ("AAAA\n", .invalidByte),
        (" AAAA", .invalidByte), ("AAAA AAAA", .invalidByte), ("A-_A", .invalidByte),
    ])
    func whatIsNotTheOneSpellingIsRefused(text: String, failure: Base64.Failure) {
        var decoded = ByteBuffer()
        #expect(throws: failure) { try Base64.decode(ByteBuffer(string: text), into: &decoded) }
    }
}
