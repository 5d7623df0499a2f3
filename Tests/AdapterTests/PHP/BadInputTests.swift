import GatewayTesting
import Testing

extension PHPAdapterTests {
    /// Answers about a session that cannot be meant: the session stays as it was, and the log holds nothing of it.
    struct BadInputTests {
        private static let parts = "$lines = [\"Session-Data: {$_SERVER['SESSION_TOKEN']} 1/2 bnxpOjY2Njs=\"];"
        private static let other = "$lines = ['Session-Data: AAAAAAAAAAAAAAAAAAAAAAA bnxpOjY2Njs='];"
        private static let twice = """
            $line = "Session-Data: {$_SERVER['SESSION_TOKEN']} 1/2 bnxpOjY2Njs="; $lines = [$line, $line];
            """

        private func visitor() async throws -> Visitor {
            var visitor = try Visitor()
            _ = try await visitor.run("session_start(); $_SESSION['n'] = 1;")
            visitor.site = "by-hand"
            return visitor
        }

        private func expectUntouched(_ visitor: Visitor) async throws {
            var visitor = visitor
            visitor.site = "default"
            #expect(try await visitor.session() == #"{"n":1}"#)
            for log in [visitor.stack.gateway.log, visitor.stack.nginx.errorLog] {
                #expect(!log.contains("bnxpOjY2Njs"))
            }
        }

        @Test(arguments: [Self.parts, Self.twice])
        func partsThatDoNotAddUpInTheHeadAreAnError(lines: String) async throws {
            var visitor = try await self.visitor()
            let response = try await visitor.run("\(lines) foreach ($lines as $line) header($line, false); echo 'x';")
            #expect(response.status == 502)
            #expect(response.outcome == "loaded")
            try await visitor.stack.awaitLogLine("a backend's answer about the session cannot be carried out")
            try await self.expectUntouched(visitor)
        }

        @Test(arguments: [Self.parts, Self.twice, Self.other])
        func linesByTheSocketThatCannotBeMeantChangeNothing(lines: String) async throws {
            var visitor = try await self.visitor()
            let response = try await visitor.run(
                """
                \(lines)
                $late = stream_socket_client("unix://{$_SERVER['SESSION_LATE']}");
                fwrite($late, implode("\\n", $lines) . "\\n");
                stream_socket_shutdown($late, STREAM_SHUT_WR);
                echo stream_get_contents($late);
                """
            )
            #expect(response.status == 200)
            if lines == Self.other {
                try await visitor.stack.awaitLogLine("a late answer came too late, or its token is unknown")
            } else {
                #expect(response.text == "Session-Outcome: loaded\n")
                try await visitor.stack.awaitLogLine("a late answer cannot be carried out: the session is as it was")
            }
            try await self.expectUntouched(visitor)
        }

        @Test(arguments: [Self.parts, Self.twice, Self.other])
        func linesOnTheErrorStreamThatCannotBeMeantChangeNothing(lines: String) async throws {
            var visitor = try await self.visitor()
            let response = try await visitor.run("\(lines) foreach ($lines as $line) error_log($line, 4); echo 'x';")
            #expect(response.status == 200)
            #expect(response.text == "x")
            if lines == Self.other {
                try await visitor.stack.awaitLogLine("a session line without this request's token was left out")
            } else {
                try await visitor.stack.awaitLogLine("a late answer cannot be carried out: the session is as it was")
            }
            try await self.expectUntouched(visitor)
        }
    }
}
