import Foundation
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

        /// The blob stands in the environment as the gateway gives it.
        @Test(arguments: ["W1siYSIsMV1d", "IngiOjE=", "NQ==", "WyJhYiIsNV0=", "/w==", "deep"])
        func aBadBlobIsAnEmptySession(blob: String) async throws {
            let directory = try TemporaryDirectory()
            let adapter = URL(filePath: #filePath).appending(path: "../../../../Adapters/python").standardized.path
            let process = try ServerProcess(
                Executable.find("python3", package: "python3"),
                [
                    "-c",
                    """
                    import base64, sys
                    sys.path.insert(0, sys.argv[1])
                    sys.dont_write_bytecode = True
                    import session_gateway
                    blob = sys.argv[2]
                    if blob == "deep": blob = base64.b64encode(b'{"a":' + b"[" * 100000).decode()
                    session = session_gateway.open_session({"SESSION_DATA": blob, "SESSION_STATE": "live"})
                    print(dict(session), session.headers())
                    """, adapter, blob,
                ],
                output: directory.path("log")
            )
            #expect(try await process.waitForEnd() == .status(0))
            #expect(process.output.contains("a session that cannot be decoded: an empty one starts"))
            #expect(process.output.contains("{} []"))
        }

        /// The gateway's socket is closed in the middle of the exchange; the new id stays the session's.
        @Test func aSocketThatFailsIsNoFailureOfTheApplication() async throws {
            let directory = try TemporaryDirectory()
            let process = try ServerProcess(
                Executable.find("python3", package: "python3"),
                [
                    "-c",
                    """
                    import socket, sys, threading
                    sys.path.insert(0, sys.argv[1])
                    sys.dont_write_bytecode = True
                    import session_gateway
                    gateway = socket.socket(socket.AF_UNIX)
                    gateway.bind(sys.argv[2])
                    gateway.listen()
                    threading.Thread(target=lambda: gateway.accept()[0].close()).start()
                    session = session_gateway.open_session({
                        "SESSION_STATE": "live", "SESSION_ID": "old", "SESSION_NEXT_ID": "new", "SESSION_TOKEN": "t",
                        "SESSION_LATE": sys.argv[2]})
                    session.regenerate()
                    print(session.id, session.headers(), session.id)
                    session["n"] = 1
                    session.save()
                    print("saved", session.id)
                    """, "\(AdapterStack.project)/Adapters/python", directory.path("late.sock"),
                ],
                output: directory.path("log")
            )
            #expect(try await process.waitForEnd() == .status(0))
            #expect(process.output.contains("new [('Session-Control', 't regenerate')] new\n"))
            #expect(process.output.contains("saved new\n"))
            #expect(process.output.contains("session-gateway: the gateway has not said that it has saved ("))
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
