import GatewayTesting
import Testing

extension SessionPathTests {
    /// Backends that answer about the session when their head has gone out already.
    struct LateAnswerTests {
        private static func pattern(_ length: Int) -> [UInt8] { (0..<length).map { UInt8(truncatingIfNeeded: $0) } }

        /// Every response's end has its session saved before it: asked often, since one time may be luck.
        @Test(
            arguments: [
                "/late.php?how=flush", "/late.php?how=stderr", "/cgi-bin/late.py?how=socket",
                "/cgi-bin/late.py?how=stderr",
            ]
        )
        func theSaveIsThereWhenTheResponseEnds(path: String) async throws {
            let site = path.contains("cgi-bin") ? "cgi" : nil
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=start")
            for length in [1, 600, 1_000, 3_000, 20_000] {
                visitor.site = site
                let response = try await visitor.get("\(path)&pattern=\(length)")
                #expect(response.status == 200)
                #expect(response.text.hasPrefix("begun\n"))
                #expect(response.endedCleanly)
                if !path.contains("stderr") { #expect(response.text.contains("Session-Outcome: saved")) }
                visitor.site = nil
                let view = try await visitor.view()
                #expect(view.data == Self.pattern(length))
            }
        }

        @Test(
            arguments: [
                "/late.php?how=flush", "/late.php?how=stderr", "/cgi-bin/late.py?how=socket",
                "/cgi-bin/late.py?how=stderr",
            ]
        )
        func aNewSessionIsAnnouncedInTheHead(path: String) async throws {
            var visitor = try Visitor(site: path.contains("cgi-bin") ? "cgi" : nil)
            let response = try await visitor.get("\(path)&announce&set=late")
            #expect(response.outcome == "pending")
            #expect(response.headers("Set-Cookie").count == 1)
            #expect(response.header("Cache-Control") == "private, no-store")
            visitor.site = nil
            #expect(try await visitor.view().text == "late")
        }

        @Test func aNewSessionThatWasNotAnnouncedIsNotKept() async throws {
            var visitor = try Visitor()
            let response = try await visitor.get("/late.php?how=flush&set=late")
            #expect(response.status == 200)
            #expect(visitor.jar.header == nil)
            #expect(!response.text.contains("Session-Outcome: new") && !response.text.contains("saved"))
            try await visitor.stack.awaitLogLine("has no cookie and is not kept", "site=default")
        }

        @Test func anAnswerAfterTheEndOfTheResponseIsSaved() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=start")
            for length in [5, 100_000] {
                let response = try await visitor.get("/late.php?how=finish&pattern=\(length)&word=finish\(length)")
                #expect(response.text == "begun\n")
                try await Eventually.holds("the answer") { visitor.stack.exists("finish\(length)") }
                #expect(visitor.stack.read("finish\(length)") == "Session-Outcome: saved")
                #expect(try await visitor.view().data == Self.pattern(length))
            }

            var newcomer = try Visitor()
            _ = try await newcomer.get("/late.php?how=finish&announce&set=late&word=announced")
            try await Eventually.holds("the answer") { newcomer.stack.exists("announced") }
            #expect(newcomer.stack.read("announced") == "Session-Outcome: new")
            #expect(try await newcomer.view().text == "late")
        }

        @Test func aLateAnswerFromAnOldVersionIsDiscarded() async throws {
            var visitor = try Visitor()
            try visitor.stack.write(
                "latewait.php",
                """
                <?php
                require 'contract.php';
                fastcgi_finish_request();
                meet('latewait');
                file_put_contents('latewait.tmp', late(session_line('late')));
                rename('latewait.tmp', 'latewait.word');
                """
            )
            _ = try await visitor.view("/page.php?set=start")
            _ = try await visitor.get("/latewait.php")
            try await Eventually.holds(within: .seconds(30), "the page") { try await visitor.isReached("latewait") }
            _ = try await visitor.view("/page.php?set=meanwhile")
            try visitor.letGo("latewait")
            try await Eventually.holds("the answer") { visitor.stack.exists("latewait.word") }
            #expect(visitor.stack.read("latewait.word") == "Session-Outcome: discarded")
            #expect(try await visitor.view().text == "meanwhile")
        }

        /// Asked often, since one time may be luck.
        @Test func aSenderThatDoesNotWaitForItsWordHasItsSessionSavedToo() async throws {
            var visitor = try Visitor()
            try visitor.stack.write(
                "lateclose.php",
                """
                <?php
                require 'contract.php';
                while (ob_get_level()) ob_end_flush();
                flush();
                $socket = stream_socket_client("unix://{$_SERVER['SESSION_LATE']}");
                fwrite($socket, session_line($_GET['set']) . "\n");
                fclose($socket);
                usleep(20000);
                """
            )
            _ = try await visitor.view("/page.php?set=start")
            for number in 1...40 {
                _ = try await visitor.get("/lateclose.php?set=n\(number)")
                #expect(try await visitor.view().text == "n\(number)")
            }
        }

        @Test func aLateLineThatIsTooLongIsSaid() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=kept")
            try visitor.stack.write(
                "cgi-bin/latelong.py",
                """
                #!/usr/bin/python3
                import os, sys
                print("Content-Type: text/plain\\n\\nbegun", flush=True)
                print("Session-Data:", os.environ["SESSION_TOKEN"], "QUFB" * 20000, file=sys.stderr)
                """
            )
            visitor.site = "cgi"
            #expect(try await visitor.get("/cgi-bin/latelong.py").text == "begun\n")
            try await visitor.stack.awaitLogLine("a late answer cannot be carried out", "site=cgi")
            visitor.site = nil
            #expect(try await visitor.view().text == "kept")
        }

        @Test func anAnswerBehindAReloadIsSaved() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=start")
            try visitor.stack.write(
                "latereload.php",
                """
                <?php
                require 'contract.php';
                fastcgi_finish_request();
                meet('latereload');
                file_put_contents('latereload.tmp', late(session_line('late')));
                rename('latereload.tmp', 'latereload.word');
                """
            )
            _ = try await visitor.get("/latereload.php")
            try await Eventually.holds(within: .seconds(30), "the page") { try await visitor.isReached("latereload") }
            let reloads = visitor.stack.logLines("has been read anew").count
            try visitor.stack.gateway.reload()
            try await Eventually.holds(within: .seconds(30), "the reload") {
                visitor.stack.logLines("has been read anew").count > reloads
            }
            try visitor.letGo("latereload")
            try await Eventually.holds(within: .seconds(30), "the answer") { visitor.stack.exists("latereload.word") }
            #expect(visitor.stack.read("latereload.word") == "Session-Outcome: saved")
            #expect(try await visitor.view().text == "late")
        }

        @Test func whatIsNoAnswerOnTheErrorStreamReachesNginxsLogInOrder() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=start")
            for (site, path, words) in [
                (nil, "/late.php", ["before the parts", "between the parts", "behind the parts"]),
                ("cgi", "/cgi-bin/late.py", ["before the parts", "behind the parts"]),
            ] {
                visitor.site = site
                _ = try await visitor.get("\(path)?how=stderr&pattern=4000&from=errorlog")
                try await Eventually.holds("nginx's log of \(path): \(visitor.stack.nginx.errorLog)") {
                    // One entry may have several lines, and what comes in pieces several entries; the request stands
                    // behind its text.
                    let entries = visitor.stack.nginx.errorLog.split(separator: "FastCGI sent in stderr").filter {
                        $0.contains("\(path)?how=stderr&pattern=4000&from=errorlog")
                    }
                    var rest = entries.joined()[...]
                    for word in words {
                        guard let found = rest.firstRange(of: word) else { return false }
                        rest = rest[found.upperBound...]
                    }
                    return true
                }
            }
            // A line with the token and the session's data in it goes to no log.
            for log in [visitor.stack.nginx.errorLog, visitor.stack.gateway.log] {
                #expect(!log.contains("Session-Data:"))
                #expect(!log.contains("AAECAwQFBgcICQ"))
            }
        }

        @Test func aLateAnswerWithAnotherTokenIsRefused() async throws {
            var visitor = try Visitor()
            let created = try await visitor.view("/page.php?set=kept")
            try visitor.stack.write(
                "latetoken.php",
                """
                <?php
                require 'contract.php';
                while (ob_get_level()) ob_end_flush();
                flush();
                $other = strrev($_SERVER['SESSION_TOKEN']);
                $other[0] = $_SERVER['SESSION_TOKEN'][0];
                foreach ([$other, $_SERVER['SESSION_ID'], $_SERVER['SESSION_TOKEN'] . 'x', ''] as $token)
                    echo '[', late("Session-Data: $token " . base64_encode('hacked')), ']';
                echo '[', late('garbage', '', str_repeat('x', 100000)), ']';
                """
            )
            let response = try await visitor.get("/latetoken.php")
            #expect(!response.text.contains("saved"))
            #expect(try await visitor.view().text == "kept")
            #expect(!visitor.stack.gateway.log.contains(created.id))
        }

        @Test func linesThatAreNotTheRequestsAreSaidOnce() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=kept")
            try visitor.stack.write(
                "latelines.php",
                """
                <?php
                require 'contract.php';
                while (ob_get_level()) ob_end_flush();
                flush();
                echo late(session_line('late'), 'hidden words', '', "Session-Control: {$_SERVER['SESSION_ID']} destroy");
                """
            )
            #expect(try await visitor.get("/latelines.php").text == "Session-Outcome: saved")
            #expect(try await visitor.view().text == "late")
            try await visitor.stack.awaitLogLine("lines of a late answer", "lines=2", "site=default")
            #expect(visitor.stack.logLines("lines of a late answer").count == 1)
            #expect(!visitor.stack.gateway.log.contains("hidden words"))
        }

        @Test func anIgnoredPathsLinesReachNoLog() async throws {
            let visitor = try Visitor()
            try visitor.stack.write(
                "static/lines.php",
                "<?php error_log('Session-Data: short c2VjcmV0', 4); echo 'done';"
            )
            let response = try await visitor.stack.client.send(HTTPRequest("GET", "/static/lines.php"))
            #expect(response.text == "done" && response.outcome == "bypassed")
            try await visitor.stack.awaitLogLine("a session line without this request's token", "/static/lines.php")
            for log in [visitor.stack.nginx.errorLog, visitor.stack.gateway.log] {
                #expect(!log.contains("c2VjcmV0"))
            }
        }
    }
}
