import Foundation
import GatewayTesting
import Testing

extension PHPAdapterTests {
    /// How the adapter gets in front of the scripts, and what becomes of the prepends and settings that were there before.
    @Suite(.serialized) struct InjectionTests {
        private func get(
            _ visitor: inout Visitor,
            _ path: String,
            _ headers: [(name: String, value: String)] = []
        ) async throws -> String {
            let request = HTTPRequest("GET", path, headers: [("X-Site", visitor.site)] + headers)
            return try await visitor.stack.client.send(request, cookies: &visitor.jar).text
        }

        @Test func aNeighbourInTheSamePoolIsNotTouched() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            let worker = try await visitor.run("echo getmypid();").text
            var neighbour = try Visitor("neighbour")
            let code = """
                session_save_path(__DIR__);
                session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
                echo json_encode([getmypid(), session_module_name(), $_SESSION['n'], session_id() === $_COOKIE['PHPSESSID'],
                    basename(ini_get('auto_prepend_file')), ini_get('session.use_strict_mode')]);
                """
            try neighbour.stack.write("neighbour.php", "<?php $_COOKIE += ['PHPSESSID' => '']; \(code)")
            for number in 1...3 {
                let isKnown = number > 1
                let text = try await self.get(&neighbour, "/neighbour.php")
                // The setting stays in the worker, and does nothing.
                #expect(text == #"[\#(worker),"files",\#(number),\#(isKnown),"session-gateway.php","0"]"#)
                #expect(neighbour.jar.cookies.map(\.name) == ["PHPSESSID"])
            }
            #expect(try await visitor.session() == #"{"a":1}"#)
        }

        @Test func aNeighbourThatSpeaksTheContractItselfIsNotTouched() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            visitor.site = "by-hand"
            #expect(try await visitor.run("echo base64_decode($_SERVER['SESSION_DATA']);").text == "a|i:1;")
            let saved = try await visitor.run(
                "header(\"Session-Data: {$_SERVER['SESSION_TOKEN']} \" . base64_encode('a|i:2;'));"
            )
            #expect(saved.outcome == "saved")
            visitor.site = "default"
            #expect(try await visitor.session() == #"{"a":2}"#)
        }

        @Test(arguments: ["prepending", "prepending-without"])
        func thePrependsOfBeforeAreGoneOnTo(site: String) async throws {
            var first = try Visitor("prepending")
            _ = try await first.run("session_start(); $_SESSION['a'] = 1;")
            var visitor = site == "prepending" ? first : try Visitor(site)
            let page = "<?php echo $prepended ?? 'none', isset($_SESSION) ? '' : '.';"
            let folder = "with-ini-\(site)"
            try visitor.stack.write("top-\(site).php", page)
            try visitor.stack.write("\(folder)/deep/page.php", page)
            try visitor.stack.write("\(folder)/deep/deeper/page.php", page)
            try visitor.stack.write("\(folder)/own.php", "<?php $prepended = 'by .user.ini';")
            try visitor.stack.write("\(folder)/deeper.php", "<?php $prepended = 'by the deeper one';")
            try visitor.stack.write("nginx.php", "<?php $prepended = 'by nginx';")
            let pages = visitor.stack.parts.pages
            try visitor.stack.write("\(folder)/.user.ini", "auto_prepend_file = \(pages)/\(folder)/own.php")
            try visitor.stack.write(
                "\(folder)/deep/deeper/.user.ini",
                "auto_prepend_file = \(pages)/\(folder)/deeper.php"
            )
            #expect(try await self.get(&visitor, "/top-\(site).php") == "by php.ini.")
            #expect(try await self.get(&visitor, "/\(folder)/deep/page.php") == "by .user.ini.")
            #expect(try await self.get(&visitor, "/\(folder)/deep/deeper/page.php") == "by the deeper one.")
            if site == "prepending" {
                let setting = "auto_prepend_file=\"\(pages)/nginx.php\""
                #expect(
                    try await self.get(&visitor, "/top-\(site).php", [("X-Php-Admin-Value", setting)]) == "by nginx."
                )
                #expect(try await self.get(&visitor, "/top-\(site).php", [("X-Php-Value", setting)]) == "by nginx.")
                #expect(
                    try await self.get(&visitor, "/\(folder)/deep/page.php", [("X-Php-Value", setting)])
                        == "by .user.ini."
                )
            }
        }

        @Test func whatNginxSendsIsMerged() async throws {
            var visitor = try Visitor()
            try visitor.stack.write(
                "merged.php",
                "<?php session_start(); echo ini_get('memory_limit'), ' ', session_module_name(), ' ', $_SESSION['a'];"
            )
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 'kept';")
            #expect(
                try await self.get(&visitor, "/merged.php", [("X-Php-Admin-Value", "memory_limit=77M")])
                    == "77M user kept"
            )
        }

        @Test func aSessionThatPHPHasStartedByItselfMovesToTheGateway() async throws {
            var visitor = try Visitor("automatic")
            for number in 1...3 {
                let response = try await visitor.run(
                    "$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'], session_module_name();"
                )
                #expect(response.text == "\(number)user")
                #expect(response.headers("Set-Cookie").count == (number == 1 ? 1 : 0))
            }
            #expect(visitor.jar.cookies.map(\.name) == ["session"])
        }

        /// PHP before 8.2.36 lets the adapter in, later ones do not.
        @Test func withUploadProgressOnSessionsAreKeptOrTheLogSaysWhyNot() async throws {
            var visitor = try Visitor("progress")
            let response = try await visitor.run("session_start(); $_SESSION['a'] = 1; echo session_module_name();")
            if response.text == "user" {
                #expect(response.outcome == "new")
            } else {
                #expect(response.status == 200)
                let setting = "session.upload_progress.enabled"
                try await visitor.stack.awaitLogLine("sessions are not in the gateway", setting)
            }
        }

        @Test func aHandlerThatThePoolFixesIsNamedInTheLog() async throws {
            var visitor = try Visitor("locked")
            _ = try await visitor.run("echo 'x';")
            try await visitor.stack.awaitLogLine("session.save_handler is fixed by php_admin_value")
        }

        @Test func prependedByPHPsOwnConfigurationItWantsTheGateway() async throws {
            var visitor = try Visitor("configured")
            _ = try await visitor.run("session_start(); $_SESSION['a'] = 1;")
            #expect(try await visitor.session() == #"{"a":1}"#)
            var stranger = try Visitor()
            try visitor.stack.write(
                "past-the-gateway/page.php",
                """
                <?php
                set_error_handler(function ($level, $text) { echo "$text\\n"; return true; });
                if (isset($_GET['start'])) var_dump(session_start(), session_start()); else echo 'no session, no error';
                """
            )
            let response = try await stranger.get("/past-the-gateway/page.php?start")
            let lines = response.text.split(separator: "\n")
            #expect(lines.first?.contains("this request did not come through the gateway") == true)
            // One error, not one more from PHP itself.
            #expect(lines.dropFirst() == ["bool(false)", "bool(false)"])
            #expect(stranger.jar.header == nil)
            #expect(try await stranger.get("/past-the-gateway/page.php").text == "no session, no error")
        }
    }
}
