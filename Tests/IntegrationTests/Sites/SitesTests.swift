import GatewayTesting
import Testing

/// Which site a request belongs to, and that sites cannot see each other's sessions.
@Suite(
    .gatewayStack(
        GatewayStack.Plan(stores: ["one", "three", "path"]) { parts in
            let path = parts.memcacheds.map { "tcp://\($0.name)?persistent=1&weight=1" }.joined(separator: ", ")
            return """
                sites:
                  one:
                    match: [one.test, both.test]
                    \(parts.store)
                    redundancy: 1
                    \(parts.fastCGI(connections: 2))
                  three:
                    match: [three.test, "*.three.test"]
                    \(parts.store)
                    redundancy: 3
                    \(parts.fastCGI(connections: 1))
                  part:
                    match: part.three.test
                    sessions_of: three
                    \(parts.cgi)
                  path:
                    match: path.test
                    servers: "\(path)"
                    connect_timeout: 2s
                    operation_timeout: 2s
                    load_timeout: 2s
                    \(parts.fastCGI(connections: 1))
                """
        }
    )
)
struct SitesTests {
    private func view(_ host: String, _ visitor: inout Visitor, _ path: String = "/page.php") async throws
        -> SessionView
    {
        try SessionView(try await self.get(host, &visitor, path))
    }

    private func get(_ host: String, _ visitor: inout Visitor, _ path: String = "/page.php") async throws
        -> HTTPResponse
    {
        var client = visitor.stack.client
        client.host = host
        return try await client.send(HTTPRequest("GET", path, headers: visitor.headers), cookies: &visitor.jar)
    }

    /// How many copies lie on each server.
    private func copies(of site: String) throws -> [Int] {
        try GatewayStack.current.parts.memcacheds.map { memcached in
            let dump = try memcached.command("lru_crawler metadump all", until: "END\r\n")
            return dump.split(separator: "\n").count {
                $0.hasPrefix("key=sg%3A\(site)%3A") || $0.hasPrefix("key=sg:\(site):")
            }
        }
    }

    @Test func sitesOnTheSameServersDoNotSeeEachOthersSessions() async throws {
        var one = try Visitor()
        let ofOne = try await self.view("one.test", &one, "/page.php?set=one")
        var three = try Visitor()
        let ofThree = try await self.view("three.test", &three, "/page.php?set=three")
        #expect(ofOne.outcome == "new" && ofThree.outcome == "new")
        #expect(try self.copies(of: "one").reduce(0, +) >= 1)
        #expect(try self.copies(of: "three").allSatisfy { $0 >= 1 })

        #expect(try await self.view("one.test", &one).text == "one")
        #expect(try await self.view("three.test", &three).text == "three")
        for (host, jar, id) in [("three.test", one.jar, ofOne.id), ("one.test", three.jar, ofThree.id)] {
            var stranger = try Visitor()
            stranger.jar = jar
            let view = try await self.view(host, &stranger, "/page.php?set=other")
            #expect(view.state == "new")
            #expect(view.id != id)
            #expect(view.text.isEmpty)
        }
        // Nor does a logout there end the session here.
        var stranger = try Visitor()
        stranger.jar = one.jar
        _ = try await self.view("three.test", &stranger, "/page.php?control=destroy")
        #expect(try await self.view("one.test", &one).text == "one")
    }

    @Test func copiesAreAsManyAsTheSiteSays() async throws {
        var visitor = try Visitor()
        let (one, three) = (try self.copies(of: "one").reduce(0, +), try self.copies(of: "three").reduce(0, +))
        for _ in 0..<10 {
            visitor.jar = CookieJar()
            #expect(try await self.view("one.test", &visitor, "/page.php?set=x").outcome == "new")
            visitor.jar = CookieJar()
            #expect(try await self.view("three.test", &visitor, "/page.php?set=x").outcome == "new")
        }
        // Other tests of the suite may have added some meanwhile, of either site.
        #expect(try self.copies(of: "one").reduce(0, +) >= one + 10)
        #expect(try self.copies(of: "three").reduce(0, +) >= three + 30)
    }

    @Test func theNameFromNginxGoesBeforeTheHost() async throws {
        var visitor = try Visitor()
        _ = try await self.view("one.test", &visitor, "/page.php?set=one")
        visitor.site = "one"
        #expect(try await self.view("three.test", &visitor).text == "one")
        visitor.site = nil
        #expect(try await self.view("BOTH.test", &visitor).text == "one")
    }

    @Test func aWildcardMatchesSubdomainsAndAnExactNameGoesBeforeIt() async throws {
        var visitor = try Visitor()
        _ = try await self.view("deep.sub.three.test", &visitor, "/page.php?set=three")
        #expect(try await self.view("three.test", &visitor).text == "three")
        // The scripts of the exact name, with the sessions of the other site.
        let part = try await self.view("part.three.test", &visitor, "/cgi-bin/page.py?set=script")
        #expect(part.text == "three")
        #expect(part.outcome == "saved")
        #expect(try await self.view("three.test", &visitor).text == "script")
    }

    @Test(arguments: [("nowhere.test", nil), ("one.test", "nowhere"), ("xthree.test", nil)] as [(String, String?)])
    func aRequestThatMatchesNoSiteIsNotFound(host: String, site: String?) async throws {
        var visitor = try Visitor(site: site)
        let response = try await self.get(host, &visitor)
        #expect(response.status == 404)
        #expect(response.headers("Set-Cookie").isEmpty)
        if let site {
            try await visitor.stack.awaitLogLine("SESSION_SITE is no site", "session_site=\(site)")
        } else {
            try await visitor.stack.awaitLogLine("matches no site", "server_name=\(host)")
        }
    }

    @Test func aSavePathOfPHPNamesTheServers() async throws {
        var visitor = try Visitor()
        let created = try await self.view("path.test", &visitor, "/page.php?set=path")
        #expect(created.outcome == "new")
        let kept = try await self.view("path.test", &visitor)
        #expect(kept.text == "path")
        #expect(kept.outcome == "loaded")
        #expect(try self.copies(of: "path").reduce(0, +) >= 2)
    }
}
