import NIOCore
import Testing

@testable import Sessions

struct CookieReadingTests {
    private let id = SessionID("Qm9vdHN0cmFwLXNlc3Npb24x")!
    private let other = SessionID("Zm9yZ2VkLXNlc3Npb24taWQy")!

    private func cookie(_ name: String, _ duplicates: CookieSettings.Duplicates = .none) throws -> SessionCookie {
        var settings = CookieSettings()
        settings.name = .fixed(try #require(CookieName(name)))
        settings.duplicates = duplicates
        return try SiteCookies(settings).cookie(underHTTPS: true)
    }

    private func read(_ cookie: SessionCookie, _ header: String?) -> CookieReading {
        cookie.read(header.map { ByteBuffer(string: $0).readableBytesView })
    }

    @Test func theHandMadeHeadersAreReadAndRewrittenAsListed() throws {
        let lists = try CookieCases.load()
        #expect(lists.count == 2)
        for list in lists {
            #expect(list.cases.count >= 200)
            let cookie = try self.cookie(list.name)
            for item in list.cases {
                let reading = self.read(cookie, item.cookie)
                let session: CookieReading.Session =
                    switch item.session {
                    case "none": .none
                    case "malformed": .malformed
                    case "conflicting": .conflicting
                    default: .accepted(try #require(SessionID(item.session)))
                    }
                let backend: CookieReading.BackendHeader =
                    switch item.backend {
                    case nil: .removed
                    case item.cookie: .unchanged
                    case let text?: .replaced(ByteBuffer(string: text))
                    }
                #expect(reading.session == session, "\(list.name): \(item.cookie) (\(item.why ?? ""))")
                #expect(reading.backendHeader == backend, "\(list.name): \(item.cookie) (\(item.why ?? ""))")
            }
        }
    }

    @Test func aHeaderThatWasRewrittenReadsTheSameAndStaysAsItIs() throws {
        for list in try CookieCases.load() {
            let cookie = try self.cookie(list.name)
            for item in list.cases {
                let reading = self.read(cookie, item.cookie)
                guard case .replaced(let header) = reading.backendHeader else { continue }
                let again = cookie.read(header.readableBytesView)
                #expect(again.backendHeader == .unchanged, "\(list.name): \(item.cookie)")
                switch reading.session {
                case .accepted: #expect(again.session == reading.session, "\(list.name): \(item.cookie)")
                case .none, .malformed, .conflicting: #expect(again.session == .none, "\(list.name): \(item.cookie)")
                }
            }
        }
    }

    @Test func noHeaderIsNoSession() throws {
        let none = CookieReading(session: .none, backendHeader: .unchanged)
        #expect(self.read(try self.cookie("session"), nil) == none)
        #expect(self.read(try self.cookie("session"), "") == none)
    }

    @Test func theFirstOfSeveralIsTakenWhereTheSiteSaysSo() throws {
        let cookie = try self.cookie("session", .first)
        let reading = self.read(cookie, "a=1; session=\(self.other.text); session=\(self.id.text)")
        #expect(reading.session == .accepted(self.other))
        #expect(reading.backendHeader == .replaced(ByteBuffer(string: "session=\(self.other.text); a=1")))
        // The first, not the first that fits: an attacker's choice is not extended.
        let malformed = self.read(cookie, "session=x; session=\(self.id.text)")
        #expect(malformed == CookieReading(session: .malformed, backendHeader: .removed))
    }

    @Test(arguments: [
        "..Host-session", "_.Host-session", "_ Host-session", "[_Host-session", "__HOST-session", "__host-Session",
    ])
    func spellingsThatServersTakeForAGuardedNameAreDropped(name: String) throws {
        let cookie = try self.cookie("__Host-session")
        let reading = self.read(cookie, "\(name)=\(self.other.text); __Host-session=\(self.id.text)")
        #expect(reading.session == .accepted(self.id))
        #expect(reading.backendHeader == .replaced(ByteBuffer(string: "__Host-session=\(self.id.text)")))
    }

    @Test(arguments: ["my_id", "my id", "my.id[x]", "my+id", "%6dy.id", "my[id"])
    func underscoresAndDotsAreTheSameToPHP(name: String) throws {
        let cookie = try self.cookie("my.id")
        let reading = self.read(cookie, "\(name)=\(self.other.text); my.id=\(self.id.text)")
        #expect(reading.session == .accepted(self.id))
        #expect(reading.backendHeader == .replaced(ByteBuffer(string: "my.id=\(self.id.text)")))
    }

    @Test func aCookieInAnotherCaseOfLettersIsAnotherCookie() throws {
        let header = "SESSION=\(self.other.text); session=\(self.id.text)"
        #expect(self.read(try self.cookie("session"), header).backendHeader == .unchanged)
    }

    @Test func anyBytesAtAllAreReadWithoutATrap() throws {
        var random = SystemRandom()
        let pieces = [
            "session", "=", ";", " ", "\"", ",", "%", "%73", "%u0073", "[", "\u{0}", self.id.text, "\u{e9}", "\\", "\t",
        ]
        let cookie = try self.cookie("session")
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...12, using: &random)
            let header = (0..<count).map { _ in pieces.randomElement(using: &random)! }.joined()
            let reading = self.read(cookie, header)
            switch reading.backendHeader {
            case .unchanged, .removed:
                break
            case .replaced(let rewritten):
                // What is rewritten holds the accepted cookie and nothing else that could be one.
                #expect(cookie.read(rewritten.readableBytesView).backendHeader == .unchanged)
            }
        }
    }
}
