import GatewayTesting
import Testing

extension ScriptAdapterTests {
    /// Plain CGI scripts, wsgiref's CGI handler and Flask.
    struct PythonTests {
        @Test(arguments: ["", "&socket", "&late"])
        func aScriptSavesBeforeAndBehindItsHead(how: String) async throws {
            var visitor = try Visitor()
            _ = try await visitor.get("/cgi-bin/script.py?do=count")
            let response = try await visitor.get("/cgi-bin/script.py?do=count\(how)")
            #expect(response.text.hasPrefix("n=2 "))
            #expect(try await visitor.get("/cgi-bin/script.py").text.hasPrefix("n=2 "))
        }

        @Test(arguments: [
            ("before+the+body", "told with the head", "saved"), ("write", "behind write", "loaded"),
            ("behind", "behind the head", "loaded"),
        ])
        func anApplicationChangesItsSessionAtAnyTime(how: String, value: String, outcome: String) async throws {
            var visitor = try Visitor()
            _ = try await visitor.get("/cgi-bin/wsgi.py?do=count")
            let response = try await visitor.get("/cgi-bin/wsgi.py?do=\(how)")
            #expect(response.outcome == outcome)
            #expect(try await visitor.get("/cgi-bin/wsgi.py").text == "n=\(value)\n")
        }

        @Test func whatChangesNothingIsNotWritten() async throws {
            var visitor = try Visitor()
            #expect(try await visitor.get("/cgi-bin/wsgi.py").outcome == "unchanged")
            #expect(visitor.jar.header == nil)
            _ = try await visitor.get("/cgi-bin/wsgi.py?do=count")
            #expect(try await visitor.get("/cgi-bin/wsgi.py").outcome == "loaded")
        }

        @Test func flaskKeepsWhatItsOwnSessionsCanCarry() async throws {
            var visitor = try Visitor()
            _ = try await visitor.get("/cgi-bin/flask_app.py/count")
            _ = try await visitor.get("/cgi-bin/flask_app.py/login?user=me")
            #expect(
                try await visitor.get("/cgi-bin/flask_app.py/show").text
                    == #"[('_flashes', [('message', 'hello')]), ('n', 1), ('pair', (1, b'\xff')), ('user', 'me')] ['hello']"#
            )
            // A flashed message is shown once.
            #expect(
                try await visitor.get("/cgi-bin/flask_app.py/show").text
                    == #"[('n', 1), ('pair', (1, b'\xff')), ('user', 'me')] []"#
            )
            #expect(try await visitor.get("/cgi-bin/flask_app.py/clear").outcome == "saved")
            #expect(try await visitor.get("/cgi-bin/flask_app.py/show").text == "[] []")
        }

        @Test func whatCannotBeDecodedStaysUntilSomethingIsSaved() async throws {
            var visitor = try Visitor()
            _ = try await visitor.get("/cgi-bin/script.sh?count")
            #expect(try await visitor.get("/cgi-bin/script.py").text.hasPrefix("n= "))
            #expect(try await visitor.get("/cgi-bin/script.sh").text.hasPrefix("n=1 "))
            #expect(try await visitor.get("/cgi-bin/script.py?do=count").text.hasPrefix("n=1 "))
            #expect(try await visitor.get("/cgi-bin/script.py").text.hasPrefix("n=1 "))
        }
    }
}
