import GatewayTesting
import Testing

extension SessionPathTests {
    /// What backends are told and what they may answer, by php-fpm and by CGI.
    struct SessionContractTests {
        private static func pattern(_ length: Int) -> [UInt8] { (0..<length).map { UInt8(truncatingIfNeeded: $0) } }

        @Test func aBlobOverTheLimitIsRefusedAndTheOldOneStays() async throws {
            var visitor = try Visitor(site: "small")
            _ = try await visitor.view("/page.php?pattern=2048")
            let refused = try await visitor.get("/page.php?pattern=2049")
            #expect(refused.status == 500)
            #expect(refused.text.contains("The session has grown larger than this site allows (max_size)."))
            #expect(!refused.text.contains("SESSION"))
            let kept = try await visitor.view()
            #expect(kept.data == Self.pattern(2_048))
            let line = try #require(visitor.stack.logLines("max_size", "site=small").first)
            #expect(line.contains("error") && line.contains("script=/page.php"))

            var newcomer = try Visitor(site: "small")
            #expect(try await newcomer.get("/page.php?pattern=3000").status == 500)
            #expect(newcomer.jar.header == nil)
        }

        @Test(
            arguments: [
                "Session-Data: {token} no.base64", "Session-Data: {token} AAA", "Session-Data: {token} 1/2 AAAA",
                "Session-Data: {token} AAAA BBBB CCCC", "Session-Control: {token} explode",
            ]
        )
        func anAnswerThatCannotBeReadLeavesTheSessionAsItWas(line: String) async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=kept")
            let refused = try await visitor.get("/page.php?header[]=\(line.queryEscaped)")
            #expect(refused.status == 502)
            #expect(try await visitor.view().text == "kept")
            let lines = visitor.stack.logLines("a backend's answer about the session", "site=default", "/page.php")
            #expect(!lines.isEmpty)
            for word in ["no.base64", "AAAA", "explode", "kept"] {
                #expect(!lines.contains { $0.contains(word) }, "\(lines)")
            }
        }

        @Test func aHeaderWithoutTheRequestsTokenChangesNothing() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=kept")
            for line in [
                "Session-Data: AAAAAAAAAAAAAAAAAAAAAAAA aGFja2Vk", "Session-Data: aGFja2Vk", "Session-Control: destroy",
                "session-control: {id} destroy", "Session-Data:",
            ] {
                let view = try await visitor.view("/page.php?header[]=\(line.queryEscaped)")
                #expect(view.outcome == "loaded", "\(line)")
                #expect(view.response.header("Session-Data") == nil)
                #expect(view.response.header("Session-Control") == nil)
            }
            #expect(try await visitor.view().text == "kept")
            #expect(!visitor.stack.logLines("without this request's token", "site=default").isEmpty)
        }

        @Test(arguments: ["/page.php", "/cgi-bin/page.py"])
        func namesOfTheContractNeverComeFromOutside(page: String) async throws {
            var visitor = try Visitor(site: page.hasSuffix(".py") ? "cgi" : nil)
            let created = try await visitor.view("\(page)?set=real")
            // nginx gives the gateway parameters of the contract's names (the stack's plan), and the client its headers.
            let forged = [
                "X-Forged", "Session-Id", "Session-Data", "Session-State", "Session-Token", "Session-Late",
                "Session-Version", "Session-Next-Id", "Session-Site", "X-Proxy", "Proxy",
            ].map { (name: $0, value: "forged") }
            let headers = visitor.headers + forged + [("Cookie", try #require(visitor.jar.header))]
            let view = try SessionView(
                try await visitor.stack.client.send(HTTPRequest("GET", page, headers: headers))
            )
            #expect(view.id == created.id)
            #expect(view.state == "live")
            #expect(view.text == "real")
            #expect(view.nextID.count == created.id.count)
            #expect(!view.names.contains("SESSION_DATA_PARTS"))
            #expect(!view.names.contains("SESSION_DATA_1"))
            #expect(!view.names.contains("SESSION_SITE"))
            #expect(!view.names.contains("HTTP_PROXY"))
            #expect(view.names.contains("HTTP_SESSION_ID"))
            #expect(Set(view.names).count == view.names.count)

            // The same for a visitor without a session and for a path without sessions.
            let stranger = try SessionView(
                try await visitor.stack.client.send(HTTPRequest("GET", page, headers: visitor.headers + forged))
            )
            #expect(stranger.state == "new")
            #expect(stranger.text.isEmpty)
            #expect(stranger.id != "forged" && stranger.nextID != "forged")
        }

        @Test func controlsSayWhatHappensToTheSession() async throws {
            var visitor = try Visitor()
            // A visitor without a session who asks for another id gets a session under that one.
            let created = try await visitor.view("/page.php?set=one&control=regenerate")
            #expect(created.outcome == "new")
            #expect(visitor.jar["session"] == created.nextID)

            // What `readonly` brings back is not kept.
            let read = try await visitor.view("/page.php?set=lost&control=readonly")
            #expect(read.outcome == "loaded")
            #expect(try await visitor.view("/page.php?set=two&control=durable").outcome == "saved")
            #expect(try await visitor.view().text == "two")

            // Destroyed and begun anew in one request: another id, nothing of the old one.
            let anew = try await visitor.view("/page.php?set=three&control=destroy,+Regenerate")
            #expect(anew.outcome == "moved")
            #expect(visitor.jar["session"] == anew.nextID)
            #expect(try await visitor.view().text == "three")

            var reader = try Visitor()
            let nothing = try await reader.view("/page.php?control=readonly")
            #expect(nothing.outcome == "unchanged")
            let destroyed = try await reader.view("/page.php?control=destroy")
            #expect(destroyed.outcome == "destroyed")
            #expect(reader.jar.header == nil)
            #expect(destroyed.response.headers("Set-Cookie").isEmpty)
        }

        @Test func aBackendCannotSpeakForTheGateway() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=x")
            let view = try await visitor.view("/page.php?header[]=\("Session-Outcome: discarded".queryEscaped)")
            #expect(view.outcome == "loaded")
        }

        @Test func noLogShowsAnIDATokenOrABlob() async throws {
            var visitor = try Visitor()
            let blob = "d1sC0verable"
            var views = [try await visitor.view("/page.php?set=\(blob)")]
            for query in [
                "", "?set=\(blob)2", "?set=\(blob)3&control=regenerate",
                "?header[]=\("Session-Data: {token} {id}".queryEscaped)",
                "?header[]=\("Session-Data: x{token} {id}".queryEscaped)",
                "?header[]=\("Broken {token} {id}".queryEscaped)",
            ] {
                let response = try await visitor.get("/page.php\(query)")
                if response.status == 200 { views.append(try SessionView(response)) }
            }
            var forged = visitor
            forged.jar["session"] = "Zm9yZ2VkLXNlc3Npb24taWQyNzc3"
            views.append(try await forged.view())
            _ = try await visitor.view("/page.php?control=destroy")
            let log = visitor.stack.gateway.log
            for view in views {
                #expect(!log.contains(view.id) && !log.contains(view.nextID))
            }
            #expect(!log.contains(blob))
            #expect(!log.contains("Zm9yZ2VkLXNlc3Npb24taWQyNzc3"))
        }

        @Test func theHostGoesBeforeTheDefaultSiteAndTheNameFromNginxBeforeTheHost() async throws {
            let stack = try GatewayStack.current
            var client = stack.client
            client.host = "conflict.test"
            var ofHost = CookieJar()
            let created = try SessionView(try await client.get("/page.php?set=host", cookies: &ofHost))
            #expect(created.outcome == "new")
            // The same site by its name; the default site knows nothing of it, whatever the host.
            for (site, host, state) in [
                ("conflict", "localhost", "live"), ("default", "conflict.test", "new"), (nil, "localhost", "new"),
                (nil, "conflict.test", "live"),
            ] {
                client.host = host
                let headers = site.map { [(name: "X-Site", value: $0)] } ?? []
                let view = try SessionView(
                    try await client.send(HTTPRequest("GET", "/page.php", headers: headers), cookies: &ofHost)
                )
                #expect(view.state == state, "\(site ?? "") \(host) \(view.outcome)")
            }
        }

        @Test func anIgnoredPathHasNoSession() async throws {
            var visitor = try Visitor()
            let stack = visitor.stack
            try stack.write("static/page.php", "<?php require '../page.php';")
            _ = try await visitor.view("/page.php?set=kept")
            let forged = [(name: "X-Forged", value: "forged"), (name: "Cookie", value: visitor.jar.header ?? "")]
            let view = try SessionView(
                try await stack.client.send(HTTPRequest("GET", "/static/page.php?set=lost", headers: forged))
            )
            #expect(view.state == "none")
            #expect(view.outcome == "bypassed")
            #expect(view.id.isEmpty && view.text.isEmpty)
            #expect(view.names.filter { $0.hasPrefix("SESSION_") } == ["SESSION_STATE"])
            #expect(view.response.header("Cache-Control") == nil)
            #expect(view.response.headers("Set-Cookie").isEmpty)
            #expect(view.response.header("Session-Data") == nil)
            // Nor may it set the session's cookie.
            let header = "Set-Cookie:session=Qm9vdHN0cmFwLXNlc3Npb24x"
            let setting = try await visitor.get("/static/page.php?header[]=\(header)&header[]=Set-Cookie:other=1")
            #expect(setting.headers("Set-Cookie") == ["other=1"])
            #expect(try await visitor.view().text == "kept")
        }

        @Test func aSiteWithoutServersKeepsItsSessionsItself() async throws {
            var visitor = try Visitor(site: "plain")
            visitor.jar["session"] = "Qm9vdHN0cmFwLXNlc3Npb24x"
            let view = try await visitor.view("/page.php?set=x")
            #expect(view.state == "new")
            #expect(view.outcome == "new")
            #expect(view.id != "Qm9vdHN0cmFwLXNlc3Npb24x" && visitor.jar["session"] == view.id)
            #expect(try await visitor.view().text == "x")
        }
    }
}
