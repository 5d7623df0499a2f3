import NIOCore
import Testing

@testable import Sessions

struct BackendContractTests {
    private func parameters(_ offer: BackendContract.Offer) -> [String: String] {
        var parameters: [String: String] = [:]
        BackendContract.forEachParameter(of: offer) { name, value in
            var text = [UInt8](repeating: 0, count: value.length)
            text.withUnsafeMutableBytes(value.write)
            #expect(parameters.updateValue(String(decoding: text, as: UTF8.self), forKey: name) == nil)
        }
        return parameters
    }

    @Test func anIgnoredPathIsToldNothingElse() {
        #expect(self.parameters(BackendContract.Offer(state: .none)) == ["SESSION_STATE": "none"])
    }

    @Test func aLiveSessionIsToldWhole() throws {
        var random = SystemRandom()
        let token = RequestToken(loop: 1, using: &random)
        let offer = BackendContract.Offer(
            state: .live,
            id: SessionID("Qm9vdHN0cmFwLXNlc3Npb24x"),
            nextID: SessionID("Zm9yZ2VkLXNlc3Npb24taWQy"),
            token: token,
            version: 7,
            data: ByteBuffer(string: "cart|i:1;"),
            latePath: "/run/late.sock"
        )
        #expect(
            self.parameters(offer) == [
                "SESSION_STATE": "live", "SESSION_ID": "Qm9vdHN0cmFwLXNlc3Npb24x",
                "SESSION_NEXT_ID": "Zm9yZ2VkLXNlc3Npb24taWQy", "SESSION_TOKEN": token.text, "SESSION_VERSION": "7",
                "SESSION_DATA": "Y2FydHxpOjE7", "SESSION_LATE": "/run/late.sock",
            ]
        )
    }

    @Test func whoseNextRequestWaitsIsTold() {
        #expect(self.parameters(BackendContract.Offer(state: .live))["SESSION_TURN"] == nil)
        #expect(self.parameters(BackendContract.Offer(state: .live, isTurn: true))["SESSION_TURN"] == "1")
    }

    @Test func anEmptyBlobHasNoParameter() {
        #expect(self.parameters(BackendContract.Offer(state: .new))["SESSION_DATA"] == nil)
    }

    @Test(arguments: [1, 24_575, 24_576, 24_577, 49_152, 49_153, 400_000])
    func longBlobsComeInPartsThatJoin(size: Int) throws {
        var random = SystemRandom()
        let data = ByteBuffer(bytes: (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
        let parameters = self.parameters(BackendContract.Offer(state: .live, data: data))
        var encoded = parameters["SESSION_DATA"] ?? ""
        if size > 24_576 {
            #expect(parameters["SESSION_DATA"] == nil)
            let count = try #require(Int(parameters["SESSION_DATA_PARTS"] ?? ""))
            #expect(count == (Base64.encodedLength(size) + 32_767) / 32_768)
            for part in 1...count {
                let text = try #require(parameters["SESSION_DATA_\(part)"])
                #expect((1...32_768).contains(text.utf8.count))
                encoded += text
            }
            #expect(parameters["SESSION_DATA_\(count + 1)"] == nil)
        } else {
            #expect(parameters["SESSION_DATA_PARTS"] == nil)
        }
        var decoded = ByteBuffer()
        try Base64.decode(ByteBuffer(string: encoded), into: &decoded)
        #expect(decoded == data)
    }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 12_345_678_901, 9_999_999_999_999_999_999, UInt64.max])
    func aVersionIsWrittenInDecimal(version: UInt64) {
        let parameters = self.parameters(BackendContract.Offer(state: .live, version: version))
        #expect(parameters["SESSION_VERSION"] == String(version))
    }

    @Test func whatTheContractSaysCannotBeSaidFromOutside() {
        var random = SystemRandom()
        let offer = BackendContract.Offer(
            state: .live,
            id: SessionID.generate(using: &random),
            nextID: SessionID.generate(using: &random),
            token: RequestToken(loop: 0, using: &random),
            version: 1,
            data: ByteBuffer(repeating: 1, count: 100_000),
            latePath: "/late",
            isTurn: true
        )
        for name in self.parameters(offer).keys {
            #expect(Array(name.utf8).withUnsafeBytes(BackendContract.isReserved), "\(name)")
        }
        for name in ["HTTP_PROXY", "SESSION_DATA", "SESSION_DATA_999", "SESSION_DATA_x"] {
            #expect(Array(name.utf8).withUnsafeBytes(BackendContract.isReserved), "\(name)")
        }
    }

    @Test(arguments: [
        "", "S", "H", "SESSION_", "SESSION_SITE", "SESSION", "SESSION_IDS", "SESSIONID", "HTTP_COOKIE", "HTTP_PROXY_X",
        "HTTP_SESSION_ID", "SCRIPT_NAME", "session_id", "SESSION_NAME",
    ])
    func otherNamesPass(name: String) {
        #expect(!Array(name.utf8).withUnsafeBytes(BackendContract.isReserved))
    }
}
