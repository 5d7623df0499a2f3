import NIOCore
import Testing

@testable import Sessions

struct SetCookieTests {
    private let id = SessionID("Qm9vdHN0cmFwLXNlc3Npb24x")!
    private let nextID = SessionID("Zm9yZ2VkLXNlc3Npb24taWQy")!

    private func cookie(underHTTPS: Bool = true, _ change: (inout CookieSettings) -> Void = { _ in }) throws
        -> SessionCookie
    {
        var settings = CookieSettings()
        change(&settings)
        return try SiteCookies(settings).cookie(underHTTPS: underHTTPS)
    }

    private func rendered(_ cookie: SessionCookie, now: Int64 = 784_111_777) -> String {
        String(buffer: cookie.setCookie(self.id, now: now))
    }

    @Test func theDefaultIsAHostCookieUnderHTTPS() throws {
        #expect(
            self.rendered(try self.cookie())
                == "__Host-session=Qm9vdHN0cmFwLXNlc3Npb24x; Path=/; Secure; HttpOnly; SameSite=Lax"
        )
    }

    @Test func overPlainHTTPItHasThePlainNameAndIsNotSecure() throws {
        #expect(
            self.rendered(try self.cookie(underHTTPS: false))
                == "session=Qm9vdHN0cmFwLXNlc3Npb24x; Path=/; HttpOnly; SameSite=Lax"
        )
    }

    @Test func secureAlwaysTreatsEveryRequestAsOneByHTTPS() throws {
        let cookie = try self.cookie(underHTTPS: false) { $0.secure = .always }
        #expect(self.rendered(cookie).hasPrefix("__Host-session="))
        #expect(self.rendered(cookie).contains("; Secure"))
    }

    @Test func aDomainOrAPathTakesTheHostPrefixAway() throws {
        let domain = try self.cookie { $0.domain = "example.com" }
        #expect(
            self.rendered(domain)
                == "__Secure-session=Qm9vdHN0cmFwLXNlc3Npb24x; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax"
        )
        let path = try self.cookie {
            $0.path = "/shop"
            $0.isHTTPOnly = false
            $0.sameSite = .unset
        }
        #expect(self.rendered(path) == "__Secure-session=Qm9vdHN0cmFwLXNlc3Npb24x; Path=/shop; Secure")
    }

    @Test func aLifetimeIsWrittenBothWays() throws {
        let cookie = try self.cookie { $0.lifetime = 3_600 }
        #expect(
            self.rendered(cookie)
                == "__Host-session=Qm9vdHN0cmFwLXNlc3Npb24x; Path=/; Max-Age=3600; Expires=Sun, 06 Nov 1994 09:49:37 GMT; "
                + "Secure; HttpOnly; SameSite=Lax"
        )
    }

    @Test func theRemovalHasTheSameScope() throws {
        let cookie = try self.cookie { $0.domain = "example.com" }
        #expect(
            String(buffer: cookie.removal)
                == "__Secure-session=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=example.com; Secure; "
                + "HttpOnly; SameSite=Lax"
        )
    }

    @Test func sameSiteNoneIsLeftOutWhereTheCookieIsNotSecure() throws {
        #expect(self.rendered(try self.cookie { $0.sameSite = .none }).hasSuffix("; Secure; HttpOnly; SameSite=None"))
        #expect(
            self.rendered(try self.cookie(underHTTPS: false) { $0.sameSite = .none }).hasSuffix("; Path=/; HttpOnly")
        )
    }

    @Test func aNameThatBrowsersGuardIsSecureOverPlainHTTPToo() throws {
        let cookie = try self.cookie(underHTTPS: false) { $0.name = .fixed(CookieName("__Secure-id")!) }
        #expect(self.rendered(cookie).contains("; Secure"))
    }

    @Test(arguments: [
        "__Host-id", "__HOST-ID", "__host-http-id",
    ])
    func browsersGuardHostNames(name: String) throws {
        var settings = CookieSettings()
        settings.name = .fixed(try #require(CookieName(name)))
        #expect(settings.problems.isEmpty)
        for change: (inout CookieSettings) -> Void in [
            { $0.secure = .never }, { $0.path = "/a" }, { $0.domain = "example.com" },
        ] {
            var changed = settings
            change(&changed)
            #expect(changed.problems.count == 1)
            #expect(throws: CookieSettingsError.self) { try SiteCookies(changed) }
        }
    }

    @Test func otherPrefixesAreGuardedToo() {
        var settings = CookieSettings()
        settings.name = .fixed(CookieName("__Secure-id")!)
        settings.path = "/a"
        settings.domain = "example.com"
        #expect(settings.problems.isEmpty)
        settings.secure = .never
        #expect(settings.problems.count == 1)

        var onlyHTTP = CookieSettings()
        onlyHTTP.name = .fixed(CookieName("__Http-id")!)
        #expect(onlyHTTP.problems.isEmpty)
        onlyHTTP.isHTTPOnly = false
        #expect(onlyHTTP.problems.count == 1)

        var auto = CookieSettings()
        auto.secure = .never
        #expect(auto.problems.count == 1)
        auto.name = .fixed(CookieName("id")!)
        #expect(auto.problems.isEmpty)
        auto.sameSite = .none
        #expect(auto.problems.count == 1)
    }

    @Test(arguments: [
        "", "a b", "a;b", "a=b", "a\u{0}", "a\"b", "caf\u{e9}", "a,b", "a/b", String(repeating: "a", count: 257),
    ])
    func whatIsNoTokenIsNoName(name: String) {
        #expect(CookieName(name) == nil)
    }

    @Test(arguments: [
        "", "shop", "/a b", "/a;b", "/a\r\nSet-Cookie: x", "/\u{e9}", "/" + String(repeating: "a", count: 1_024),
    ])
    func pathsThatWouldBreakTheFieldAreRefused(path: String) {
        var settings = CookieSettings()
        settings.path = path
        #expect(!settings.problems.isEmpty)
    }

    @Test(arguments: [
        "", ".", "a b", "a;b", "example.com\r\n", "a..b", "-\u{e9}", "http://x", String(repeating: "a", count: 64),
    ])
    func domainsThatAreNoHostNamesAreRefused(domain: String) {
        var settings = CookieSettings()
        settings.domain = domain
        #expect(!settings.problems.isEmpty)
    }

    @Test func theLongestCookieFits4096Bytes() throws {
        let cookie = try self.cookie {
            $0.name = .fixed(CookieName("__Secure-" + String(repeating: "n", count: 247))!)
            $0.path = "/" + String(repeating: "p", count: 1_023)
            $0.domain = Array(repeating: String(repeating: "d", count: 49), count: 5).joined(separator: ".")
            $0.lifetime = 1 << 40
        }
        let id = try #require(SessionID(String(repeating: "i", count: 64)))
        #expect(cookie.setCookie(id, now: .max / 2).readableBytes <= 4_096)
    }

    @Test(
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"), (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"), (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] as [(Int64, String)]
    )
    func datesAreThoseOfTheCalendar(time: Int64, text: String) {
        #expect(HTTPDate.text(time) == text)
    }

    @Test(arguments: [
        ("__Host-session=x", true), ("__Host-session=; Max-Age=0", true), (" __Host-session = x", true),
        ("__host-SESSION=x", true), ("=__Host-session=x", true), ("__Host-session", true),
        ("PHPSESSID=Qm9vdHN0cmFwLXNlc3Npb24x; path=/", true), ("sid=\"Zm9yZ2VkLXNlc3Npb24taWQy\"", true),
        ("sid= Zm9yZ2VkLXNlc3Npb24taWQy ;HttpOnly", true), ("Zm9yZ2VkLXNlc3Npb24taWQy", true),
        ("PHPSESSID=pre-Zm9yZ2VkLXNlc3Npb24taWQy; path=/", true), ("sid=\"a%2CQm9vdHN0cmFwLXNlc3Npb24x\"", true),
        ("sid=m9vdHN0cmFwLXNlc3Npb24x", false), ("sid=Qm9vdHN0cmFwLXNlc3Npb24x-post", false),
        ("theme=dark; Path=/", false), ("__Host-session2=x", false), ("session=x", false), ("", false),
        ("sid=Qm9vdHN0cmFwLXNlc3Npb24xx", false), ("a=b; __Host-session=x", false),
    ])
    func aBackendsOwnCookieForTheSessionIsRecognised(field: String, isOurs: Bool) throws {
        let cookie = try self.cookie()
        let bytes = ByteBuffer(string: field).readableBytesView
        #expect(cookie.isMeant(bySetCookie: bytes, id: self.id, nextID: self.nextID) == isOurs)
    }

    @Test func aBackendsCookieIsItsOwnWhereThereIsNoSession() throws {
        let bytes = ByteBuffer(string: "sid=Qm9vdHN0cmFwLXNlc3Npb24x").readableBytesView
        #expect(!(try self.cookie().isMeant(bySetCookie: bytes, id: nil, nextID: nil)))
    }
}
