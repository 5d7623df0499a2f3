import GatewayTesting
import Testing

extension PHPAdapterTests {
    /// What the gateway and the browser see of an application's sessions.
    struct SessionTests {
        @Test func theSessionIsInTheGatewayAndItsCookieIsTheGateways() async throws {
            var visitor = try Visitor()
            let first = try await visitor.run("session_start(); $_SESSION['n'] = 1; echo session_id();")
            #expect(first.outcome == "new")
            #expect(first.headers("Set-Cookie").map { $0.prefix(8) } == ["session="])
            #expect(first.text == visitor.jar["session"])
            #expect(first.headers.allSatisfy { !$0.name.lowercased().hasPrefix("session-") })
            let second = try await visitor.run("session_start(); $_SESSION['n']++; echo $_SESSION['n'], session_id();")
            #expect(second.outcome == "saved")
            #expect(second.text == "2" + first.text)
            #expect(second.headers("Set-Cookie").isEmpty)
            let third = try await visitor.run("session_start(); echo $_SESSION['n'];")
            #expect(third.outcome == "loaded")
            #expect(third.text == "2")
        }

        @Test func nothingOfTheContractIsLeftForTheApplicationToShow() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['secret'] = str_repeat('x', 60000);")
            let names = try await visitor.run(
                """
                foreach (array_keys($_SERVER + $GLOBALS) as $name) if (stripos($name, 'session') === 0) echo $name, ' ';
                """
            )
            #expect(names.text == "")
        }

        @Test func anApplicationFindsTheCookieUnderItsOwnName() async throws {
            for (site, name) in [("default", "PHPSESSID"), ("named", "SHOP")] {
                var visitor = try Visitor(site)
                let look = "session_name('\(name)'); echo isset($_COOKIE['\(name)']) ? 'known' : 'unknown';"
                #expect(try await visitor.run(look).text == "unknown")
                _ = try await visitor.run("session_name('\(name)'); session_start(); $_SESSION['n'] = 1;")
                #expect(visitor.jar.cookies.map(\.name) == [site == "named" ? "SHOP" : "session"])
                #expect(try await visitor.run(look).text == "known")
            }
        }

        @Test func aCookieFromBeforeTheGatewayMeansNothing() async throws {
            var visitor = try Visitor()
            visitor.jar["PHPSESSID"] = "0123456789abcdef0123456789abcdef"
            let first = try await visitor.run("session_start(); $_SESSION['n'] = 1; echo session_id();")
            #expect(first.text == visitor.jar["session"])
            #expect(try await visitor.run("session_start(); echo session_id();").text == first.text)
        }

        @Test(arguments: ["session_regenerate_id(true);", "session_regenerate_id(false);"])
        func theOldIdIsDead(regenerate: String) async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['user'] = 'guest';")
            var thief = visitor
            let moved = try await visitor.run("session_start(); \(regenerate) $_SESSION['user'] = 'root';")
            #expect(moved.outcome == "moved")
            #expect(thief.jar["session"] != visitor.jar["session"])
            #expect(try await visitor.session() == #"{"user":"root"}"#)
            #expect(try await thief.session() == "[]")
        }

        @Test(arguments: [
            "header_register_callback(function () {}); session_start(); session_regenerate_id();",
            "session_start(); header_register_callback(function () {}); session_regenerate_id(true);",
            "session_start(); session_regenerate_id(true); header_register_callback(function () {});",
        ])
        func theOldIdIsDeadWithAHeaderCallbackOfTheApplication(code: String) async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['user'] = 'guest';")
            var thief = visitor
            let moved = try await visitor.run("\(code) $_SESSION['user'] = 'root'; echo 'x';")
            #expect(moved.outcome == "moved")
            #expect(thief.jar["session"] != visitor.jar["session"])
            #expect(try await visitor.session() == #"{"user":"root"}"#)
            #expect(try await thief.session() == "[]")
        }

        /// What serialize handlers make of an empty session is not always empty.
        @Test(arguments: ["php", "php_binary", "php_serialize"])
        func anEmptySessionIsNone(handler: String) async throws {
            let start = "ini_set('session.serialize_handler', '\(handler)'); session_start();"
            var visitor = try Visitor()
            #expect(try await visitor.run(start).outcome == "unchanged")
            #expect(
                try await visitor.run("\(start) $_SESSION['a'] = 1; $_SESSION = []; echo 'x';").outcome == "unchanged"
            )
            #expect(visitor.jar.header == nil)
            _ = try await visitor.run("\(start) $_SESSION['a'] = 1;")
            let logout = try await visitor.run("\(start) session_destroy(); session_start(); session_regenerate_id();")
            #expect(logout.outcome == "destroyed")
            #expect(visitor.jar.header == nil)
        }

        @Test func aMadeIdWithAPrefixDoesNotLeaveInACookieOfPHPs() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            let response = try await visitor.run(
                """
                ini_set('session.use_strict_mode', '0');
                session_start(); $id = session_create_id('prefix-'); session_commit();
                session_id($id); session_start(); $_SESSION['b'] = 2; echo session_id();
                """
            )
            #expect(response.text == "prefix-\(visitor.jar["session"] ?? "")")
            #expect(response.headers("Set-Cookie").map { $0.prefix(8) } == ["session="])
            #expect(try await visitor.session() == #"{"b":2}"#)
        }

        /// The gateway takes every cookie of its own cookie's name out of the response.
        @Test(arguments: [("default", 2), ("php-name", 1)])
        func aHandlerOfTheApplicationWantsACookieOfAnotherName(site: String, count: Int) async throws {
            var visitor = try Visitor(site)
            let page = """
                ini_set('session.save_path', sys_get_temp_dir());
                session_set_save_handler(new SessionHandler());
                session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
                session_write_close();
                if ($_SESSION['n'] > 1) { session_start(); session_destroy(); }
                """
            #expect(try await visitor.run(page).text == "1")
            #expect(try await visitor.run(page).text == "\(count)")
        }

        @Test func aChangeThatOvertakesTheHeadKeepsTheNewId() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            let old = visitor
            let moved = try await visitor.run(
                "session_start(); session_regenerate_id(); $_SESSION['b'] = 2; echo str_repeat('x', 5000); $_SESSION['c'] = 3;"
            )
            #expect(moved.outcome == "moved")
            #expect(try await visitor.session() == #"{"a":1,"b":2,"c":3}"#)
            var thief = old
            #expect(try await thief.session() == "[]")
        }

        @Test func aDestroyedSessionsCookieIsRemovedAndDead() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            var thief = visitor
            let response = try await visitor.run("session_start(); session_destroy();")
            #expect(response.outcome == "destroyed")
            #expect(visitor.jar.header == nil)
            #expect(try await thief.session() == "[]")
        }

        @Test func anotherVisitorsSessionCannotBeOpened() async throws {
            var victim = try Visitor()
            _ = try await victim.run("session_start(); $_SESSION['a'] = 'private';")
            let id = try #require(victim.jar["session"])
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['own'] = 1;")
            let response = try await visitor.run(
                """
                set_error_handler(function ($level, $text) { echo "$text\\n"; return true; });
                session_start(); session_commit();
                session_id('\(id)'); session_start(); echo json_encode($_SESSION), "\\n"; session_destroy();
                """
            )
            #expect(response.text.contains("session_id() cannot change to another session"))
            #expect(response.text.hasSuffix("\n[]\n"))
            #expect(try await visitor.session() == #"{"own":1}"#)
            #expect(try await victim.session() == #"{"a":"private"}"#)
        }

        @Test func whatPHPCannotDecodeStaysUntilSomethingIsSaved() async throws {
            var visitor = try Visitor()
            // PHP 7.4 takes what has no | for an empty session.
            let other = "ini_set('session.serialize_handler', 'php_serialize');"
            _ = try await visitor.run("\(other) session_start(); $_SESSION['a|'] = 1;")
            let broken = try await visitor.run(
                """
                set_error_handler(function ($level, $text) { echo "$text\\n"; return true; });
                var_dump(session_start(), session_status() === PHP_SESSION_ACTIVE, $_SESSION);
                """
            )
            #expect(broken.text == "bool(true)\nbool(true)\narray(0) {\n}\n")
            #expect(broken.outcome == "loaded")
            try await visitor.stack.awaitLogLine("a session that PHP cannot decode")
            #expect(visitor.stack.logLines("a session that PHP cannot decode").count == 1)
            let again = try await visitor.run("\(other) session_start(); echo $_SESSION['a|'];")
            #expect(again.text == "1")
            let saved = try await visitor.run("session_start(); $_SESSION['b'] = 2;")
            #expect(saved.outcome == "saved")
            #expect(try await visitor.session() == #"{"b":2}"#)
        }

        /// PHP's own handlers empty the session then.
        @Test func whatCannotBeSerialisedLeavesTheSessionAsItWas() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            let closure = "$_SESSION['a'] = 2; $_SESSION['f'] = function () {};"
            let told = try await visitor.run(
                """
                session_start(); \(closure)
                try { session_write_close(); } catch (Exception $exception) { echo $exception->getMessage(); }
                """
            )
            #expect(told.text == "Serialization of 'Closure' is not allowed")
            _ = try await visitor.run("session_start(); \(closure)")
            let response = try await visitor.run("session_start(); \(closure) echo 'the page';")
            #expect(response.status == 200)
            #expect(response.text == "the page")
            try await visitor.stack.awaitLogLine("the session cannot be saved and stays as it was")
            #expect(try await visitor.session() == #"{"a":1}"#)
        }

        @Test func anIgnoredPathHasASessionThatIsNotKept() async throws {
            var visitor = try Visitor()
            try visitor.stack.write(
                "static/page.php",
                "<?php session_start(); echo count($_SESSION); $_SESSION['a'] = 1;"
            )
            for _ in 1...2 {
                let response = try await visitor.get("/static/page.php")
                #expect(response.text == "0")
                #expect(response.outcome == "bypassed")
                #expect(visitor.jar.header == nil)
            }
            try await visitor.stack.awaitLogLine("a session on a path that the site ignores is not kept")
        }

        @Test func whereTheStoreIsAwayAnAnonymousSessionIsEmptyAndNotKept() async throws {
            var visitor = try Visitor("away")
            visitor.jar["session"] = "abcdefghijklmnopqrstuvwx"
            for _ in 1...2 {
                let response = try await visitor.run("session_start(); echo count($_SESSION); $_SESSION['a'] = 1;")
                #expect(response.status == 200)
                #expect(response.text == "0")
                #expect(response.outcome == "unavailable")
                #expect(response.headers("Set-Cookie").isEmpty)
            }
        }

        @Test func theApplicationsCookieSettingsAreWithoutEffectAndLogged() async throws {
            var visitor = try Visitor()
            let response = try await visitor.run(
                "session_set_cookie_params(60, '/deep'); session_start(); $_SESSION['a'] = 1;"
            )
            #expect(response.headers("Set-Cookie").count == 1)
            #expect(response.header("Set-Cookie")?.contains("Path=/;") == true)
            try await visitor.stack.awaitLogLine("session.cookie_lifetime, session.cookie_path", "without effect")
        }

        @Test func compressedOutputKeepsItsSession() async throws {
            var visitor = try Visitor()
            let name = "compressed.php"
            try visitor.stack.write(
                name,
                """
                <?php ini_set('zlib.output_compression', '1'); session_start(); echo str_repeat('a', 30000);
                $_SESSION['n'] = 1;
                """
            )
            let request = HTTPRequest(
                "GET",
                "/\(name)",
                headers: [("X-Site", visitor.site), ("Accept-Encoding", "gzip")]
            )
            let response = try await visitor.stack.client.send(request, cookies: &visitor.jar)
            #expect(response.header("Content-Encoding") == "gzip")
            #expect(response.bodyLength < 5_000)
            #expect(try await visitor.session() == #"{"n":1}"#)
        }
    }
}
