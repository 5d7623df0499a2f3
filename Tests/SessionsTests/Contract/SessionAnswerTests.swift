import NIOCore
import Testing

@testable import Sessions

struct SessionAnswerTests {
    private let token: RequestToken
    private let other: RequestToken

    init() {
        var random = SystemRandom()
        self.token = RequestToken(loop: 2, using: &random)
        self.other = RequestToken(loop: 2, using: &random)
    }

    /// Fields as `d <rest>` and `c <rest>`, each with the right token.
    private func change(_ fields: [String], maximumSize: Int = 1_000) throws -> SessionChange {
        var answer = SessionAnswer(token: self.token, maximumSize: maximumSize)
        for field in fields {
            let reception = try answer.receive(
                field.hasPrefix("d") ? .data : .control,
                ByteBuffer(string: self.token.text + field.dropFirst())
            )
            #expect(reception == .accepted)
        }
        return try answer.finish()
    }

    private func code(_ fields: [String], maximumSize: Int = 1_000) -> SessionContractError.Code? {
        do {
            _ = try self.change(fields, maximumSize: maximumSize)
            return nil
        } catch {
            return (error as? SessionContractError)?.code
        }
    }

    @Test func noFieldIsNoChange() throws {
        let answer = SessionAnswer(token: self.token, maximumSize: 10)
        #expect(!answer.isAnnounced)
        #expect(try answer.finish() == SessionChange())
    }

    @Test(arguments: [("", true), (" ", true), (" ,", false), (" regenerate", false)])
    func aControlWithoutAWordSaysThatMoreMayFollow(rest: String, isOpenEnded: Bool) throws {
        var answer = SessionAnswer(token: self.token, maximumSize: 1_000)
        _ = try answer.receive(.data, ByteBuffer(string: "\(self.token.text) aGFsbG8="))
        #expect(!answer.isOpenEnded)
        _ = try answer.receive(.control, ByteBuffer(string: self.token.text + rest))
        #expect(answer.isOpenEnded == isOpenEnded)
    }

    @Test func aWholeBlobIsDecoded() throws {
        #expect(try self.change(["d aGFsbG8="]) == SessionChange(data: ByteBuffer(string: "hallo")))
        #expect(try self.change(["d\t aGFsbG8= "]) == SessionChange(data: ByteBuffer(string: "hallo")))
    }

    @Test(arguments: ["d", "d ", "d 1/1", "d 1/1 "])
    func anEmptyValueClears(field: String) throws {
        #expect(try self.change([field]) == SessionChange(data: ByteBuffer()))
    }

    @Test func fourCharactersThatLookLikeAPartAreBase64() throws {
        #expect(try self.change(["d 1/12"]).data == ByteBuffer(bytes: [0xd7, 0xfd, 0x76]))
    }

    @Test func partsJoinInAnyOrderAndCutAnywhere() throws {
        let parts = ["d 1/4 a", "d 2/4 GFsb", "d 3/4 G8", "d 4/4 ="]
        for first in 0..<4 {
            for second in 0..<4 where second != first {
                let rest = (0..<4).filter { $0 != first && $0 != second }
                for order in [[first, second] + rest, [first, second] + rest.reversed()] {
                    #expect(try self.change(order.map { parts[$0] }).data == ByteBuffer(string: "hallo"))
                }
            }
        }
    }

    @Test func aFieldWithoutTheTokenIsForeignAndChangesNothing() throws {
        var answer = SessionAnswer(token: self.token, maximumSize: 10)
        for value in [
            "", " ", "aGFsbG8=", self.other.text + " aGFsbG8=", String(self.token.text.dropLast()),
            "\(self.token.text)x aGFsbG8=",
        ] {
            #expect(try answer.receive(.data, ByteBuffer(string: value)) == .foreign)
            #expect(try answer.receive(.control, ByteBuffer(string: value)) == .foreign)
        }
        #expect(!answer.isAnnounced)
        #expect(try answer.finish() == SessionChange())
    }

    @Test func controlsAddUp() throws {
        #expect(try self.change(["c regenerate"]).controls == .regenerate)
        #expect(
            try self.change(["c destroy,durable", "c\tReadOnly ,, regenerate,"]).controls == [
                .destroy, .durable, .readonly, .regenerate,
            ]
        )
        #expect(try self.change(["c"]).controls == [])
    }

    @Test func dataAndControlsComeInAnyOrder() throws {
        let expected = SessionChange(data: ByteBuffer(string: "hallo"), controls: .regenerate)
        #expect(try self.change(["c regenerate", "d aGFsbG8="]) == expected)
        #expect(try self.change(["d 2/2 bG8=", "c regenerate", "d 1/2 aGFs"]) == expected)
    }

    @Test(
        arguments: [
            (["d aGFsbG8"], .invalidBase64), (["d aGFs bG8="], .malformed), (["d aGFsbG8=\u{e9}"], .invalidBase64),
            (["d 1/2 aGFs", "d 2/2 bG8"], .invalidBase64), (["d 1/2 aGFs"], .incomplete), (["d 2/2 aGFs"], .incomplete),
            (["d 1/2 aGFs", "d 1/2 aGFs"], .contradictory), (["d 1/2 aGFs", "d 2/3 aGFs"], .contradictory),
            (["d aGFs", "d aGFs"], .contradictory), (["d aGFs", "d 1/1 aGFs"], .contradictory),
            (["d 1/1 aGFs", "d aGFs"], .contradictory), (["d", "d"], .contradictory),
            (["d 0/1 aGFs"], .malformed), (["d 2/1 aGFs"], .malformed), (["d 1/0 aGFs"], .malformed),
            (["d 1/4097 aGFs"], .malformed), (["d 1/99999 aGFs"], .malformed), (["d -1/2 aGFs"], .malformed),
            (["d a/b aGFs"], .malformed), (["d / aGFs"], .malformed), (["d 1/2/3 aGFs"], .malformed),
            (["d 1/2 aGFs bG8="], .malformed), (["c regenerate destroy"], .unknownControl),
            (["c logout"], .unknownControl),
        ] as [([String], SessionContractError.Code)]
    )
    func whatDoesNotFollowTheGrammarIsAnError(fields: [String], code: SessionContractError.Code) {
        #expect(self.code(fields) == code)
    }

    @Test func theLargestBlobFitsAndOneByteMoreDoesNot() throws {
        for size in [0, 1, 2, 3, 10, 1_000] {
            var encoded = ByteBuffer()
            Base64.encode(ByteBuffer(repeating: 7, count: size), into: &encoded)
            let text = String(buffer: encoded)
            #expect(try self.change(["d \(text)"], maximumSize: size).data?.readableBytes == size)
            var larger = ByteBuffer()
            Base64.encode(ByteBuffer(repeating: 7, count: size + 1), into: &larger)
            #expect(self.code(["d " + String(buffer: larger)], maximumSize: size) == .tooLarge)
        }
    }

    @Test func partsTogetherAreBoundedToo() {
        let part = String(repeating: "AAAA", count: 200)
        #expect(self.code(["d 1/3 \(part)", "d 2/3 \(part)", "d 3/3 \(part)"], maximumSize: 1_000) == .tooLarge)
    }

    @Test func aThousandPartsOf900BytesAreOneBlob() throws {
        var random = SystemRandom()
        let data = ByteBuffer(bytes: (0..<500_000).map { _ in UInt8.random(in: 0...255, using: &random) })
        var encoded = ByteBuffer()
        Base64.encode(data, into: &encoded)
        var fields: [String] = []
        let count = (encoded.readableBytes + 899) / 900
        while let part = encoded.readString(length: min(900, encoded.readableBytes)), !part.isEmpty {
            fields.append("d \(fields.count + 1)/\(count) \(part)")
        }
        #expect(try self.change(fields.shuffled(), maximumSize: 512 * 1_024).data == data)
    }

    @Test func noErrorTellsWhatWasSent() {
        for fields in [
            ["d c2VjcmV0"], ["c secret"], ["d secret/2 c2VjcmV0"], ["d 1/2 c2VjcmV0"], ["d c2VjcmV0 x y"],
            ["d c2VjcmV0?"],
        ] {
            do {
                _ = try self.change(fields, maximumSize: 1)
                Issue.record("\(fields) was accepted")
            } catch {
                #expect(!"\(error)".contains("c2Vj") && !"\(error)".contains("secret"))
                #expect(!"\(error)".contains(self.token.text))
            }
        }
    }

    @Test(arguments: ["Session-Data", "session-data", "SESSION-DATA"])
    func fieldsAreKnownInAnyCaseOfLetters(name: String) {
        #expect(SessionField(name: name.utf8) == .data)
        #expect(SessionField(name: (name.dropLast() + "b").utf8) == nil)
        #expect(SessionField(name: "sEssion-contRol".utf8) == .control)
        #expect(SessionField(name: "".utf8) == nil)
        #expect(SessionField(name: "Session-Dat".utf8) == nil)
    }
}
