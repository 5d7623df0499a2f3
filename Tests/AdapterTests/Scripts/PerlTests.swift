import GatewayTesting
import Testing

extension ScriptAdapterTests {
    /// CGI::Session.
    struct PerlTests {
        @Test func aScriptThatNamesAnotherDriverIsServedAsItIs() async throws {
            var visitor = try Visitor("perl-as-it-is")
            for number in 1...3 {
                let response = try await visitor.get("/cgi-bin/unmodified.pl")
                #expect(response.text == "n=\(number)\n")
            }
            #expect(visitor.jar.cookies.map(\.name) == ["session"])
        }

        @Test func allBytesComeBack() async throws {
            var visitor = try Visitor()
            let stored = try await visitor.get("/cgi-bin/counter.pl?do=bytes")
            #expect(stored.text.contains("text=256:32640"))
            #expect(try await visitor.get("/cgi-bin/counter.pl").text.contains("text=256:32640"))
        }

        @Test func aForgedIdIsOnlyAName() async throws {
            var visitor = try Visitor()
            visitor.jar["CGISESSID"] = "0123456789abcdef0123456789abcdef"
            let first = try await visitor.get("/cgi-bin/counter.pl?do=count")
            let id = try #require(visitor.jar["session"])
            #expect(first.text == "n=1 new=1 id=\(id)\n")
            #expect(try await visitor.get("/cgi-bin/counter.pl?do=count").text == "n=2 new=0 id=\(id)\n")
        }
    }
}
