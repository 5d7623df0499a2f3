import GatewayTesting
import Testing

extension PHPAdapterTests {
    /// Sessions that change when the response's head has gone out.
    struct LateTests {
        @Test(arguments: ["default", "unbuffered"])
        func whatChangesBehindTheHeadIsThereWhenTheResponseEnds(site: String) async throws {
            var visitor = try Visitor(site)
            for number in 1...10 {
                let response = try await visitor.run(
                    """
                    session_start(); $_SESSION['n'] = 0;
                    while (ob_get_level()) ob_end_flush();
                    echo 'begun'; flush();
                    $_SESSION['n'] = \(number);
                    """
                )
                #expect(response.text == "begun" && response.endedCleanly)
                #expect(try await visitor.session() == #"{"n":\#(number)}"#)
            }
        }

        @Test func whatChangesBehindTheResponseIsKept() async throws {
            var visitor = try Visitor()
            for code in ["", "session_start(); $_SESSION['early'] = 1;"] {
                for number in 1...3 {
                    _ = try await visitor.run(
                        """
                        \(code)
                        if (session_status() !== PHP_SESSION_ACTIVE) session_start();
                        echo 'done';
                        fastcgi_finish_request();
                        $_SESSION['n'] = \(number);
                        """
                    )
                    try await Eventually.holds("n is \(number): \(visitor.stack.gateway.log.suffix(2_000))") {
                        try await visitor.session().contains(#""n":\#(number)"#)
                    }
                }
            }
        }

        @Test func aLogoutBehindTheHeadIsALogout() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            _ = try await visitor.run(
                "session_start(); while (ob_get_level()) ob_end_flush(); echo 'x'; flush(); session_destroy();"
            )
            #expect(try await visitor.session() == "[]")
        }

        @Test(arguments: [100, 50_000])
        func whereTheSocketCannotBeReachedTheErrorStreamCarriesIt(length: Int) async throws {
            var visitor = try Visitor("piped")
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            _ = try await visitor.run(
                """
                session_start(); while (ob_get_level()) ob_end_flush(); echo 'x'; flush();
                $_SESSION['text'] = str_repeat('0123456789', \(length / 10));
                """
            )
            let text = try await visitor.run(
                "session_start(); echo strlen($_SESSION['text'] ?? ''), md5($_SESSION['text']);"
            )
            let expected = try await visitor.run("echo \(length), md5(str_repeat('0123456789', \(length / 10)));")
            #expect(text.text == expected.text)
            try await visitor.stack.awaitLogLine("the socket for late answers cannot be reached")
            for log in [visitor.stack.gateway.log, visitor.stack.nginx.errorLog] {
                #expect(!log.contains("Session-Data:"))
            }
        }

        @Test func theErrorStreamCarriesAnEmptySessionToo() async throws {
            var visitor = try Visitor("piped")
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            _ = try await visitor.run(
                "session_start(); while (ob_get_level()) ob_end_flush(); echo 'x'; flush(); $_SESSION = [];"
            )
            #expect(try await visitor.session() == "[]")
        }

        @Test func aTokenOfAnotherRequestChangesNothing() async throws {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            let response = try await visitor.run(
                """
                $line = 'Session-Data: AAAAAAAAAAAAAAAAAAAAAAA ' . base64_encode('n|i:666;');
                header($line);
                error_log($line, 4);
                echo 'x';
                """
            )
            #expect(response.outcome == "loaded")
            #expect(try await visitor.session() == #"{"n":1}"#)
            try await visitor.stack.awaitLogLine("a session header without this request's token was dropped")
            try await visitor.stack.awaitLogLine("a session line without this request's token was left out")
            #expect(!visitor.stack.gateway.log.contains("bnxpOjY2Njs"))
        }

        @Test func anObjectIsSerialisedOnce() async throws {
            var visitor = try Visitor("unbuffered")
            _ = try await visitor.run(
                """
                class Once { public $count = 0; public function __sleep() { $this->count++; return ['count']; } }
                session_start(); $_SESSION['once'] = new Once; echo 'begun'; flush();
                """
            )
            let count = try await visitor.run(
                "class Once { public $count; } session_start(['read_and_close' => true]); echo $_SESSION['once']->count;"
            )
            #expect(count.text == "1")
        }
    }
}
