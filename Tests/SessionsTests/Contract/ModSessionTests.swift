import NIOCore
import Testing

@testable import Sessions

struct ModSessionTests {
    @Test func theBackendsFieldIsTheBlob() throws {
        #expect(try ModSession.change([], maximumSize: 10) == SessionChange())
        let data = ByteBuffer(string: "user=me")
        #expect(try ModSession.change([data], maximumSize: 10) == SessionChange(data: data))
        #expect(try ModSession.change([data, data], maximumSize: 10) == SessionChange(data: data))
        #expect(try ModSession.change([ByteBuffer()], maximumSize: 10) == SessionChange(data: ByteBuffer()))
    }

    @Test func twoDifferentBlobsContradict() {
        #expect(throws: SessionContractError.self) {
            try ModSession.change([ByteBuffer(string: "a"), ByteBuffer(string: "b")], maximumSize: 10)
        }
    }

    @Test func aBlobOverTheSitesLimitIsTooLarge() {
        #expect { try ModSession.change([ByteBuffer(string: "12345678901")], maximumSize: 10) } throws: { error in
            (error as? SessionContractError)?.code == .tooLarge
        }
    }

    @Test func everyControlByteIsRefusedAndNothingElse() {
        for byte in UInt8.min...UInt8.max {
            let data = ByteBuffer(bytes: [0x61, byte, 0x61])
            if byte < 0x20 || byte == 0x7f {
                #expect(throws: SessionContractError.self) { try ModSession.check(data) }
            } else {
                #expect(throws: Never.self) { try ModSession.check(data) }
            }
        }
    }

    @Test func sixtyFiveThousandBytesAreTheMost() {
        #expect(throws: Never.self) { try ModSession.check(ByteBuffer(repeating: 0x61, count: 65_000)) }
        #expect(throws: SessionContractError.self) { try ModSession.check(ByteBuffer(repeating: 0x61, count: 65_001)) }
    }

    @Test func theClientsOwnHeaderIsReserved() {
        #expect(Array("HTTP_SESSION".utf8).withUnsafeBytes(ModSession.isReserved))
        #expect(!Array("HTTP_SESSIONS".utf8).withUnsafeBytes(ModSession.isReserved))
        #expect(ModSession.isField("x-replace-SESSION".utf8))
        #expect(!ModSession.isField("X-Replace-Sessions".utf8))
    }
}
