import GatewayTesting
import Testing

extension SessionPathTests {
    /// `contract: mod_session`: Apache's names, on php-fpm.
    struct ModSessionContractTests {
        @Test func theBlobTravelsAsItStands() async throws {
            var visitor = try Visitor(site: "mod")
            #expect(try await visitor.get("/mod.php").text == "none")
            let created = try await visitor.get("/mod.php?replace=\("user=ann&cart=1; é".queryEscaped)")
            #expect(created.outcome == "new")
            #expect(created.header("X-Replace-Session") == nil)
            #expect(created.headers("Set-Cookie").count == 1)
            #expect(try await visitor.get("/mod.php").text == "user=ann&cart=1; é")
            #expect(try await visitor.get("/mod.php?replace=two").outcome == "saved")
            #expect(try await visitor.get("/mod.php?replace=two").outcome == "unchanged")
            #expect(try await visitor.get("/mod.php?replace=").outcome == "saved")
            #expect(try await visitor.get("/mod.php").text == "none")
        }

        @Test func theClientsOwnSessionHeaderIsRemoved() async throws {
            var visitor = try Visitor(site: "mod")
            let forged = [(name: "X-Site", value: "mod"), (name: "Session", value: "user=admin")]
            let stack = visitor.stack
            #expect(try await stack.client.send(HTTPRequest("GET", "/mod.php", headers: forged)).text == "none")
            _ = try await visitor.get("/mod.php?replace=real")
            let cookie = [(name: "Cookie", value: try #require(visitor.jar.header))]
            let response = try await stack.client.send(HTTPRequest("GET", "/mod.php", headers: forged + cookie))
            #expect(response.text == "real")
        }

        @Test func aBlobThatNoHeaderCanCarryIsRefused() async throws {
            var visitor = try Visitor(site: "mod")
            _ = try await visitor.get("/mod.php?replace=kept")
            // A tab is allowed in a header, and no blob: it is a control byte.
            let control = try await visitor.get("/mod.php?raw=\("610962")")
            #expect(control.status == 500)
            #expect(control.text.contains("mod_session"))
            #expect(try await visitor.get("/mod.php?long=65001").status == 500)
            #expect(try await visitor.get("/mod.php").text == "kept")
            #expect(try await visitor.get("/mod.php?long=65000").outcome == "saved")
            #expect(try await visitor.get("/mod.php").bodyLength == 65_000)
            #expect(!visitor.stack.logLines("site=mod", "mod_session").isEmpty)
        }

        @Test func aSessionOfAnotherContractThatCannotBeCarriedIsRefusedAndKept() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?pattern=300")
            visitor.site = "mod-of-default"
            let refused = try await visitor.get("/mod.php?replace=lost")
            #expect(refused.status == 500)
            #expect(refused.text.contains("mod_session"))
            visitor.site = nil
            #expect(try await visitor.view().data.count == 300)
        }

        @Test func theGatewaysOwnNamesMeanNothingHere() async throws {
            var visitor = try Visitor(site: "mod")
            _ = try await visitor.get("/mod.php?replace=kept")
            let response = try await visitor.get(
                "/page.php?header[]=\("Session-Data: AAAA aGFja2Vk".queryEscaped)&header[]=\("Session-Control: AAAA destroy".queryEscaped)"
            )
            #expect(response.header("Session-Data") == nil)
            #expect(response.header("Session-Control") == nil)
            #expect(try await visitor.get("/mod.php").text == "kept")
        }
    }
}
