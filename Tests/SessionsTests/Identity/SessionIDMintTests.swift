import Sessions
import Testing

struct SessionIDMintTests {
    @Test func withoutSecretsEveryIDMayBeOne() {
        var random = SystemRandomNumberGenerator()
        let mint = SessionIDMint()
        let id = mint.generate(using: &random)
        #expect(id.text.count == 24)
        #expect(mint.admits(id))
    }

    @Test func withSecretsOnlyItsOwnAre() throws {
        var random = SystemRandomNumberGenerator()
        let mint = SessionIDMint(secrets: ["the first secret of all"])
        let id = mint.generate(using: &random)
        #expect(id.text.count == 40)
        #expect(mint.admits(id))
        #expect(!mint.admits(SessionIDMint().generate(using: &random)))
        for index in id.text.indices {
            var text = id.text
            text.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(!mint.admits(try #require(SessionID(text))))
        }
        #expect(!mint.admits(try #require(SessionID(id.text + "A"))))
        #expect(!mint.admits(try #require(SessionID(id.text.dropLast()))))
    }

    @Test func secretsAreExchangedOneAfterTheOther() {
        var random = SystemRandomNumberGenerator()
        let (old, new) = ("the secret of last year", "the secret of this year")
        let before = SessionIDMint(secrets: [old])
        let between = SessionIDMint(secrets: [new, old])
        let after = SessionIDMint(secrets: [new])
        let (oldID, newID) = (before.generate(using: &random), between.generate(using: &random))
        #expect(between.admits(oldID) && between.admits(newID))
        #expect(after.admits(newID) && !after.admits(oldID) && !before.admits(newID))
    }
}
