import Testing

@testable import Sessions

struct SessionKeyTests {
    @Test func aKeyIsPrefixSiteAndTheDigestOfTheID() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "shop"))
        let key = keyspace.key(for: try #require(SessionID("Qm9vdHN0cmFwLXNlc3Npb24x")))
        // printf %s Qm9vdHN0cmFwLXNlc3Npb24x | openssl dgst -sha256 -binary | basenc --base64url
        #expect(key.text == "sg:shop:nKxJlfAf_cfSkd6QtHfQwJOcVwA4BP_YzdCTiqh0ug4")
        #expect(key.hash == 0x9cac4995f01ffdc7)
        #expect(key.bytes.count == "sg:shop:".utf8.count + SessionKey.digestLength)
    }

    @Test func sitesDoNotShareKeys() throws {
        let id = try #require(SessionID("Qm9vdHN0cmFwLXNlc3Npb24x"))
        let one = try #require(SessionKeyspace(prefix: "", site: "one")).key(for: id)
        let two = try #require(SessionKeyspace(prefix: "", site: "two")).key(for: id)
        #expect(one != two)
        #expect(one.hash == two.hash)
    }

    @Test(arguments: ["a b", "a\nb", "a\u{7f}", "a\u{0}", "\u{e9}", "\t"])
    func aPrefixThatMemcachedWouldMisreadIsRefused(prefix: String) {
        #expect(SessionKeyspace(prefix: prefix, site: "site") == nil)
        #expect(SessionKeyspace(prefix: "sg:", site: prefix) == nil)
    }

    @Test func keysAreAtMostAsLongAsMemcachedTakes() throws {
        let longest = String(repeating: "p", count: 250 - 43 - 2)
        let keyspace = try #require(SessionKeyspace(prefix: longest, site: "s"))
        #expect(keyspace.key(for: try #require(SessionID("Qm9vdHN0cmFwLXNlc3Npb24x"))).bytes.count == 250)
        #expect(SessionKeyspace(prefix: longest + "p", site: "s") == nil)
    }

    @Test func aKeyReadFromAnItemIsTheSameAsTheOneMadeOfTheID() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "shop"))
        for number in 0..<200 {
            let key = keyspace.key(for: try #require(SessionID("visitor-\(number)-0123456789abcdef")))
            let found = try #require(keyspace.key(ofItem: key.bytes))
            #expect(found == key)
            #expect(found.hash == key.hash)
        }
    }

    @Test func anItemOfAnotherKeyspaceIsNoSession() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "session:", site: "shop"))
        let other = try #require(SessionKeyspace(prefix: "session:", site: "blog"))
        let key = keyspace.key(for: try #require(SessionID("0123456789abcdef-_0123")))
        #expect(other.key(ofItem: key.bytes) == nil)
        #expect(keyspace.key(ofItem: Array(key.bytes.dropLast())) == nil)
        #expect(keyspace.key(ofItem: key.bytes + [65]) == nil)
        #expect(keyspace.key(ofItem: []) == nil)
    }

    @Test func everyCharacterOfAnItemsKeyIsChecked() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "session:", site: "shop"))
        let key = keyspace.key(for: try #require(SessionID("0123456789abcdef-_0123")))
        for index in keyspace.bytes.count..<key.bytes.count {
            for foreign: UInt8 in [0, 0x0A, 0x20, 0x2B, 0x2F, 0x3D, 0x7F, 0xFF] {
                var bytes = key.bytes
                bytes[index] = foreign
                #expect(keyspace.key(ofItem: bytes) == nil)
            }
        }
    }
}
