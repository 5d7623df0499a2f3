import GatewayTesting
import Testing

extension SessionPathTests {
    /// What backends must not do to nginx, to the session or to other requests.
    struct BackendAnswerTests {
        /// A script in the shell, beside the others.
        private func script(_ name: String, _ body: String) throws -> (Visitor, String) {
            let visitor = try Visitor(site: "cgi")
            try visitor.stack.write("cgi-bin/\(name)", "#!/bin/sh\n\(body)\n")
            return (visitor, "/cgi-bin/\(name)")
        }

        @Test(
            arguments: [
                ("nohead.sh", "exit 0"),
                ("text.sh", "echo 'just text'"),
                ("half.sh", "printf 'Content-Type: text/plain\\nX-Half: '"),
                ("continue.sh", "printf 'Status: 100 Continue\\n\\nGET /x HTTP/1.1\\n\\n'"),
                ("hints.sh", "printf 'Status: 103 Early Hints\\n\\n'"),
                ("status.sh", "printf 'Status: abc\\n\\n'"),
                ("large.sh", "printf 'Status: 600\\n\\n'"),
                ("lengths.sh", "printf 'Content-Length: 2\\nContent-Length: 3\\n\\nabc'"),
                ("length.sh", "printf 'Content-Length: 0x3\\n\\nabc'"),
                ("folded.sh", "printf 'X-A: b\\n c\\n\\n'"),
                ("blank.sh", "printf 'X A: b\\n\\n'"),
                ("return.sh", "printf 'X-A: b\\rX-B: c\\n\\n'"),
                ("endless.sh", "printf 'X-Endless: '; exec yes xxxxxxxxxxxxxxxx | tr -d '\\n'"),
                ("endlesslines.sh", "exec yes 'X-Line: xxxxxxxxxxxxxxxx'"),
                ("endlessdata.sh", "printf 'Session-Data: '; exec yes xxxxxxxxxxxxxxxx | tr -d '\\n'"),
                ("killed.sh", "printf 'Content-Type: text/plain\\n'; kill -9 $$"),
            ]
        )
        func aHeadThatIsNoneIsABadGatewayAndTheSessionStays(name: String, body: String) async throws {
            var (visitor, path) = try self.script(name, body)
            _ = try await visitor.view("/cgi-bin/page.py?set=kept")
            let response = try await visitor.get(path)
            #expect(response.status == 502)
            #expect(response.outcome == "unchanged")
            #expect(response.text.contains("The application did not answer properly."))
            #expect(response.headers("Set-Cookie").isEmpty)
            try await visitor.stack.awaitLogLine("a backend failed", "site=cgi", path)
            #expect(try await visitor.view("/cgi-bin/page.py").text == "kept")
        }

        @Test func equalLengthsAreOneAndALongBodyIsCut() async throws {
            var (visitor, path) = try self.script(
                "same.sh",
                "printf 'Content-Length: 3\\nContent-Length: 3\\n\\nabcdef'"
            )
            let response = try await visitor.get(path)
            #expect(response.status == 200, "\(visitor.stack.logLines(path))")
            #expect(response.headers("Content-Length") == ["3"])
            #expect(response.text == "abc")
            #expect(response.endedCleanly)
        }

        @Test(
            arguments: [
                ("short.sh", "printf 'Content-Length: 10\\n\\nabc'; sleep 1"),
                ("dies.sh", "printf 'Content-Type: text/plain\\n\\nabc'; sleep 1; kill -9 $$"),
            ]
        )
        func aBodyThatStopsHalfWayDoesNotLookWhole(name: String, body: String) async throws {
            var (visitor, path) = try self.script(name, body)
            let response = try await visitor.get(path)
            // nginx answers for itself where it had not begun to pass the response on.
            if response.status == 502 { return }
            #expect(response.text == "abc")
            #expect(!response.endedCleanly)
        }

        @Test func aPHPThatDiesLeavesTheSessionAsItWas() async throws {
            var visitor = try Visitor()
            try visitor.stack.write("dies.php", "<?php posix_kill(getmypid(), 9);")
            _ = try await visitor.view("/page.php?set=kept")
            #expect(try await visitor.get("/dies.php").status == 502)
            #expect(try await visitor.view().text == "kept")
        }

        @Test func nginxsOwnHeadersPassOnlyWhereTheSiteAllowsIt() async throws {
            var visitor = try Visitor()
            try visitor.stack.write("accelerated.php", "<?php header('X-Accel-Redirect: /internal.php'); echo 'own';")
            try visitor.stack.write("internal.php", "<?php echo 'internal';")
            #expect(try await visitor.get("/accelerated.php").text == "own")
            visitor.site = "accelerated"
            #expect(try await visitor.get("/accelerated.php").text == "internal")
        }

        @Test func theEnvironmentOfAScriptHoldsOnlyAllowedNames() async throws {
            let (visitor, path) = try self.script("env.sh", "printf 'Content-Type: text/plain\\n\\n'; exec env")
            let headers =
                visitor.headers + [
                    (name: "Proxy", value: "http://evil.test"), (name: "X-Proxy", value: "http://evil.test"),
                    (name: "Ld-Preload", value: "/tmp/evil.so"), (name: "Content-Type", value: "text/plain"),
                ]
            let response = try await visitor.stack.client.send(
                HTTPRequest("POST", "\(path)/info?q=1", headers: headers, body: .text("body"))
            )
            var environment: [String: String] = [:]
            for line in response.text.split(separator: "\n") {
                let pair = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                environment[String(pair[0])] = pair.count == 2 ? String(pair[1]) : ""
            }
            let ofTheShell: Set = ["PWD", "_", "SHLVL", "OLDPWD"]
            let standard: Set = [
                "PATH", "GATEWAY_INTERFACE", "CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "QUERY_STRING",
                "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_USER", "REQUEST_METHOD", "REQUEST_SCHEME", "REQUEST_URI",
                "SCRIPT_NAME",
                "SCRIPT_FILENAME", "DOCUMENT_ROOT", "DOCUMENT_URI", "REDIRECT_STATUS", "SERVER_ADDR", "SERVER_NAME",
                "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "SESSION_ID", "SESSION_STATE", "SESSION_NEXT_ID",
                "SESSION_TOKEN", "SESSION_LATE", "SESSION_VERSION",
            ]
            let others = Set(environment.keys).subtracting(standard).subtracting(ofTheShell)
            #expect(others.allSatisfy { $0.hasPrefix("HTTP_") }, "\(others)")
            #expect(environment["HTTP_PROXY"] == nil)
            #expect(environment["HTTP_LD_PRELOAD"] == "/tmp/evil.so")
            #expect(environment["LD_PRELOAD"] == nil)
            #expect(environment["PATH"]?.contains("/usr/bin") == true)
            #expect(environment["REQUEST_METHOD"] == "POST")
            #expect(environment["CONTENT_LENGTH"] == "4")
            #expect(environment["PATH_INFO"] == "/info")
            #expect(environment["SCRIPT_NAME"] == path)
            #expect(environment["QUERY_STRING"] == "q=1")
        }

        @Test func aBackendsErrorStreamReachesNginxsLogInOrder() async throws {
            var visitor = try Visitor()
            try visitor.stack.write(
                "errors.php",
                """
                <?php
                for ($i = 1; $i <= 40; $i++) {
                    error_log("<$i>", 4);
                    if ($i % 10 == 0) { echo "$i "; while (ob_get_level()) ob_end_flush(); flush(); }
                }
                """
            )
            let response = try await visitor.get("/errors.php")
            #expect(response.text == "10 20 30 40 ")
            try await Eventually.holds(
                "nginx's log: \(visitor.stack.nginx.errorLog.split(separator: "\n").filter { $0.contains("errors.php") })"
            ) {
                let numbers = visitor.stack.nginx.errorLog.matches(of: /<(\d+)>/).compactMap {
                    Int($0.output.1)
                }
                return numbers == Array(1...40)
            }
            try await visitor.stack.awaitLogLine("error stream", "<40>", "site=default", "script=/errors.php")
        }
    }
}
