import NIOCore
import Testing

@testable import Sessions

/// Ids that PHP made, where sessions are taken over.
struct PHPSessionIDTests {
    private func id(_ text: String) -> SessionID? { SessionID(phpCookie: Array(text.utf8)) }

    @Test(arguments: [
        ("0123456789abcdefABCDEF", "0123456789abcdefABCDEF"), ("a,b-c0123456789abcdefgh", "a,b-c0123456789abcdefgh"),
        ("a%2Cb%2cc0123456789abcdefgh", "a,b,c0123456789abcdefgh"),
    ])
    func phpsCookiesAreRead(cookie: String, id: String) {
        #expect(self.id(cookie)?.text == id)
        #expect(self.id(cookie)?.mayBePHP == true)
    }

    @Test(arguments: [
        "", "0123456789abcdefABCDE", "0123456789abcdef_ABCDEF", "0123456789abcdef%ABCDEF", "0123456789abcdefABCDEF%",
        "0123456789abcdefABCDEF%2", "0123456789abcdefABCDEF%2F", "0123456789abcdef ABCDEF", "0123456789abcdefABCDEF/",
        "0123456789abcdefABCDEF\u{0}",
    ])
    func otherCookiesAreNone(cookie: String) {
        #expect(self.id(cookie) == nil)
    }

    @Test func theyHaveAtMost256Characters() {
        #expect(self.id(String(repeating: "a", count: 256)) != nil)
        #expect(self.id(String(repeating: "%2C", count: 256)) != nil)
        #expect(self.id(String(repeating: "a", count: 257)) == nil)
        #expect(self.id(String(repeating: "a", count: 100_000)) == nil)
    }

    @Test func noCommaStandsInTheCookie() throws {
        let id = try #require(self.id("a,,b-c0123456789abcdefgh,"))
        #expect(id.cookieValue == "a%2C%2Cb-c0123456789abcdefgh%2C")
        #expect(self.id(id.cookieValue) == id)
    }

    @Test func onlyASiteThatTakesSessionsOverReadsThem() throws {
        let header = ByteBuffer(string: "a=1; PHPSESSID=a%2Cb-c0123456789abcdefghi").readableBytesView
        var settings = CookieSettings()
        settings.name = .fixed(try #require(CookieName("PHPSESSID")))
        let strict = try SiteCookies(settings).cookie(underHTTPS: true)
        #expect(strict.read(header).session == .malformed)
        settings.acceptsPHPIDs = true
        let adopting = try SiteCookies(settings).cookie(underHTTPS: true)
        let id = try #require(self.id("a,b-c0123456789abcdefghi"))
        #expect(adopting.read(header).session == .accepted(id))
        // The backend gets the cookie as the browser sent it.
        #expect(adopting.read(header).backendHeader == .unchanged)
        #expect(String(buffer: adopting.setCookie(id, now: 0)).hasPrefix("PHPSESSID=a%2Cb-c0123456789abcdefghi; "))
        for value in ["a,b-c0123456789abcdefghi", "a%2Cb-c0123456789abcdefghi"] {
            let field = ByteBuffer(string: "other=\(value); Path=/").readableBytesView
            #expect(adopting.isMeant(bySetCookie: field, id: id, nextID: nil))
        }
    }

    @Test func theMarkOfAnAdoptedSessionIsNoSessions() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "s"))
        let id = try #require(self.id("0123456789abcdefABCDEF"))
        #expect(keyspace.adoptionMark(of: id) != keyspace.key(for: id))
        #expect(keyspace.adoptionMark(of: id).bytes.count == keyspace.key(for: id).bytes.count)
    }
}
