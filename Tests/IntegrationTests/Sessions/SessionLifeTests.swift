import GatewayTesting
import Sessions
import Testing

extension SessionPathTests {
    /// From the first cookie to the last, on php-fpm.
    struct SessionLifeTests {
        @Test func aVisitorWithoutASessionGetsNothingUntilTheBackendStoresSomething() async throws {
            var visitor = try Visitor()
            let first = try await visitor.view()
            #expect(first.state == "new")
            #expect(first.outcome == "unchanged")
            #expect(first.version == 0)
            #expect(first.response.headers("Set-Cookie").isEmpty)
            #expect(first.response.header("Cache-Control") == nil)
            #expect(first.response.header("Session-Outcome") == nil)

            let empty = try await visitor.view("/page.php?set=")
            #expect(empty.outcome == "unchanged")
            #expect(empty.response.headers("Set-Cookie").isEmpty)
            #expect(empty.id != first.id)
        }

        @Test func aNewSessionIsKeptUnderItsCookie() async throws {
            var visitor = try Visitor()
            let created = try await visitor.view("/page.php?set=one")
            #expect(created.outcome == "new")
            #expect(
                created.response.headers("Set-Cookie") == ["session=\(created.id); Path=/; HttpOnly; SameSite=Lax"]
            )
            #expect(created.response.header("Cache-Control") == "private, no-store")
            #expect(SessionID(created.id) != nil)
            #expect(created.response.header("Session-Data") == nil)

            var versions: Set<Int> = []
            for _ in 1...3 {
                let kept = try await visitor.view()
                versions.insert(kept.version)
                #expect(kept.state == "live")
                #expect(kept.id == created.id)
                #expect(kept.text == "one")
                #expect(kept.outcome == "loaded")
                #expect(kept.cookies == ["session": created.id])
                #expect(kept.response.headers("Set-Cookie").isEmpty)
                #expect(kept.response.header("Cache-Control") == "private, no-store")
            }
            #expect(versions.count == 1)
        }

        @Test func aBlobThatIsTheSameIsNoChange() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=one")
            let same = try await visitor.view("/page.php?set=one")
            #expect(same.outcome == "unchanged")
            let kept = try await visitor.view()
            #expect(kept.version == same.version)
            #expect(kept.text == "one")
        }

        @Test func aChangeIsThereInTheNextRequest() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=1")
            var version = 0
            for change in 2...10 {
                let changed = try await visitor.view("/page.php?set=\(change)")
                #expect(changed.text == "\(change - 1)")
                #expect(changed.version > version)
                version = changed.version
                #expect(changed.outcome == "saved")
                #expect(changed.response.headers("Set-Cookie").isEmpty)
            }
            let cleared = try await visitor.view("/page.php?set=")
            #expect(cleared.outcome == "saved")
            let empty = try await visitor.view()
            #expect(empty.state == "live")
            #expect(empty.text.isEmpty)
            #expect(!empty.names.contains("SESSION_DATA"))
        }

        @Test func aDestroyedSessionIsGoneWithItsCookie() async throws {
            var visitor = try Visitor()
            let created = try await visitor.view("/page.php?set=secret")
            let stale = visitor
            let destroyed = try await visitor.view("/page.php?control=destroy")
            #expect(destroyed.outcome == "destroyed")
            #expect(
                destroyed.response.headers("Set-Cookie") == [
                    "session=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"
                ]
            )
            #expect(destroyed.response.header("Cache-Control") == "private, no-store")
            #expect(visitor.jar.header == nil)

            for change in ["", "?set=revived", "?set=revived&control=regenerate"] {
                var late = stale
                let view = try await late.view("/page.php\(change)")
                #expect(view.state == "new")
                #expect(view.id != created.id)
                #expect(view.text.isEmpty)
                #expect(view.cookies.isEmpty)
            }
        }

        @Test func aRegeneratedSessionMovesAndItsOldIDIsDead() async throws {
            var visitor = try Visitor()
            let created = try await visitor.view("/page.php?set=guest")
            var thief = visitor
            let moved = try await visitor.view("/page.php?set=admin&control=regenerate")
            #expect(moved.outcome == "moved")
            #expect(moved.id == created.id)
            #expect(moved.nextID != created.id)
            #expect(
                moved.response.headers("Set-Cookie") == ["session=\(moved.nextID); Path=/; HttpOnly; SameSite=Lax"]
            )
            let kept = try await visitor.view()
            #expect(kept.id == moved.nextID)
            #expect(kept.text == "admin")

            let old = try await thief.view("/page.php?set=stolen")
            #expect(old.state == "new")
            #expect(old.id != created.id)
            #expect(old.text.isEmpty)

            // Without a new blob it takes the one it has along.
            let again = try await visitor.view("/page.php?control=regenerate")
            #expect(again.outcome == "moved")
            #expect(try await visitor.view().text == "admin")
        }

        @Test func aRequestThatLoadedBeforeARegenerateSavesNothing() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=guest")
            let slow = visitor
            let name = "regenerate-\(UInt32.random(in: 0 ... .max))"
            async let late = { () async throws -> SessionView in
                var slow = slow
                return try await slow.view("/page.php?wait=\(name)&set=old")
            }()
            try await Eventually.holds(within: .seconds(30), "the slow request") { try await visitor.isReached(name) }
            _ = try await visitor.view("/page.php?set=admin&control=regenerate")
            try visitor.letGo(name)
            #expect(try await late.outcome == "discarded")
            #expect(try await visitor.view().text == "admin")
            var old = slow
            #expect(try await old.view().state == "new")
        }

        @Test func noForgedIDIsAdopted() async throws {
            let visitor = try Visitor()
            let client = visitor.stack.client
            try await withThrowingTaskGroup { group in
                for number in 0..<100 {
                    group.addTask {
                        let length = 22 + number % 43
                        let forged = String(
                            (0..<length).map { _ in
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_".randomElement()!
                            }
                        )
                        let cookie = [(name: "Cookie", value: "session=\(forged)")]
                        let path = number % 2 == 0 ? "/page.php" : "/page.php?set=mine"
                        let view = try SessionView(try await client.send(HTTPRequest("GET", path, headers: cookie)))
                        #expect(view.state == "new")
                        #expect(view.id != forged && view.nextID != forged)
                        #expect(view.cookies.isEmpty)
                        #expect(!view.response.headers("Set-Cookie").contains { $0.contains(forged) })
                        let again = try SessionView(
                            try await client.send(HTTPRequest("GET", "/page.php", headers: cookie))
                        )
                        #expect(again.state == "new")
                    }
                }
                try await group.waitForAll()
            }
        }

        @Test func underHTTPSTheCookieHasThePrefixThatBrowsersGuard() async throws {
            var visitor = try Visitor()
            visitor.isHTTPS = true
            let created = try await visitor.view("/page.php?set=one")
            #expect(
                created.response.headers("Set-Cookie") == [
                    "__Host-session=\(created.id); Path=/; Secure; HttpOnly; SameSite=Lax"
                ]
            )
            #expect(try await visitor.view().text == "one")

            // The same id under the name of plain http is nobody's, and the other way round.
            var plainName = visitor
            plainName.jar = CookieJar()
            plainName.jar["session"] = created.id
            #expect(try await plainName.view().state == "new")
            var plain = visitor
            plain.isHTTPS = false
            #expect(try await plain.view().state == "new")

            let destroyed = try await visitor.view("/page.php?control=destroy")
            #expect(
                destroyed.response.headers("Set-Cookie") == [
                    "__Host-session=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax"
                ]
            )
        }

        @Test func aCookieWithALifetimeIsSentAgainWhenHalfOfItIsGone() async throws {
            var visitor = try Visitor(site: "lasting")
            let begun = ContinuousClock.now
            let created = try await visitor.view("/page.php?set=one")
            let pattern = /session=([A-Za-z0-9_-]+); Path=\/; Max-Age=10; Expires=(.+ GMT); HttpOnly; SameSite=Strict/
            let cookie = try #require(created.response.header("Set-Cookie"))
            #expect(try pattern.wholeMatch(in: cookie)?.output.1 == created.id[...])
            let sent = ContinuousClock.now

            var renewed: SessionView?
            while renewed == nil {
                let before = ContinuousClock.now
                let view = try await visitor.view()
                #expect(view.id == created.id)
                if let cookie = view.response.header("Set-Cookie") {
                    #expect(cookie.hasPrefix("session=\(created.id); Path=/; Max-Age=10; "))
                    #expect(.now - begun > .milliseconds(4_990))
                    renewed = view
                } else {
                    #expect(before - sent < .milliseconds(5_500))
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            #expect(renewed?.text == "one")
            // Remembered: the next request does not send it again.
            #expect(try await visitor.view().response.headers("Set-Cookie").isEmpty)
            #expect(try await visitor.view().text == "one")
        }

        @Test func theBackendCannotSetTheSessionsCookie() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=one")
            let own = [
                "Set-Cookie: session=forged", "Set-Cookie: Session = x; Path=/", "set-cookie: session=; Max-Age=0",
                "Set-Cookie: copy={id}", "Set-Cookie: copy={next}; HttpOnly", "Set-Cookie: theme=dark; Path=/",
                "Set-Cookie: lang=en",
            ]
            let query = own.map { "header[]=\($0.queryEscaped)" }.joined(separator: "&")
            let view = try await visitor.view("/page.php?\(query)")
            let cookies = view.response.headers("Set-Cookie")
            #expect(cookies.contains("theme=dark; Path=/"))
            #expect(cookies.contains("lang=en"))
            #expect(!cookies.contains { $0.contains(view.id) || $0.contains(view.nextID) || $0.contains("forged") })
            #expect(!cookies.contains { $0.hasPrefix("session=") })
        }

        @Test func aCacheControlOfTheBackendIsKept() async throws {
            var visitor = try Visitor()
            let view = try await visitor.view("/page.php?set=one&header[]=\("Cache-Control: max-age=60".queryEscaped)")
            #expect(view.response.headers("Cache-Control") == ["max-age=60"])
        }
    }
}

extension String {
    var queryEscaped: String {
        self.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }.joined()
    }
}
