import Foundation
import GatewayTesting
import Testing

extension PHPAdapterTests {
    /// `concurrency: serialize`, with sessions that are open when the response's head goes out.
    struct TurnTests {
        @Test(arguments: ["", "$_SESSION['n'] = 2;"])
        func aHeadThatLeavesEarlyHoldsNobodyUp(change: String) async throws {
            var visitor = try Visitor("turns")
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            // The head says that more may follow, and nothing does.
            let page = "session_start(); \(change) while (ob_get_level()) ob_end_flush(); echo 'begun'; flush();"
            for _ in 1...3 {
                let start = ContinuousClock.now
                let response = try await visitor.run(page)
                #expect(response.text == "begun")
                #expect(ContinuousClock.now - start < .seconds(10))
            }
            #expect(try await visitor.session() == (change.isEmpty ? #"{"n":1}"# : #"{"n":2}"#))
        }

        @Test(arguments: ["", "$_SESSION['n'] = 2;"])
        func theNextRequestSeesWhatChangesBehindTheResponse(early: String) async throws {
            var visitor = try Visitor("turns")
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            let response = try await visitor.run(
                """
                session_start(); \(early) echo 'done';
                fastcgi_finish_request();
                usleep(700000);
                $_SESSION['n'] = 3;
                """
            )
            #expect(response.text == "done")
            #expect(response.outcome == "pending")
            #expect(try await visitor.session() == #"{"n":3}"#)
            try await Eventually.holds("the end of what was pending is in the log") {
                visitor.stack.gateway.log.contains("a late answer about a session")
            }
        }

        @Test func whatChangesNothingBehindTheResponseHoldsNobodyUp() async throws {
            var visitor = try Visitor("turns")
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            _ = try await visitor.run("session_start(); echo 'done'; fastcgi_finish_request(); usleep(200000);")
            let start = ContinuousClock.now
            #expect(try await visitor.session() == #"{"n":1}"#)
            #expect(ContinuousClock.now - start < .seconds(10))
        }

        @Test func aSecondChangeBehindTheResponseIsKeptToo() async throws {
            var visitor = try Visitor("turns")
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            _ = try await visitor.run(
                """
                ini_set('session.use_cookies', '0');
                session_start(['cache_limiter' => '']); echo 'done';
                fastcgi_finish_request();
                $_SESSION['n'] = 2; session_write_close();
                session_start(['cache_limiter' => '']); $_SESSION['n'] = 3;
                """
            )
            try await Eventually.holds("n is 3: \(visitor.stack.gateway.log.suffix(2_000))") {
                try await visitor.session() == #"{"n":3}"#
            }
        }

        @Test func onlySitesWithTurnsHaveTheParameter() async throws {
            for (site, text) in [("turns", "1"), ("default", "none")] {
                var visitor = try Visitor(site)
                _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
                // The adapter takes it out of $_SERVER, and leaves it in the environment.
                #expect(try await visitor.run("echo getenv('SESSION_TURN') ?: 'none';").text == text)
            }
        }
    }
}
