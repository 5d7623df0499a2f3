import Foundation
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

        /// One process serves them all; what the script of one has not flushed is stored when the next one's begins.
        @Test func aProcessThatStaysKeepsItsVisitorsApart() async throws {
            let parts = try AdapterStack.current.parts
            let directory = try TemporaryDirectory()
            let process = try ServerProcess(
                Executable.find("perl", package: "perl"),
                ["\(parts.pages)/fast.pl", "\(parts.pages)/fast.sock"],
                environment: ["PERL5LIB": "\(parts.adapters)/perl", "LC_ALL": "C.UTF-8"],
                output: directory.path("log")
            )
            try await process.waitUntilReady(.unix("\(parts.pages)/fast.sock"))
            var one = try Visitor("perl-fast")
            var other = one
            for number in 1...3 {
                let first = try await one.get("/fast.pl?count")
                #expect(first.text == "n=\(number) id=\(one.jar["session"] ?? "none")\n")
                let second = try await other.get("/fast.pl?count")
                #expect(second.text == "n=\(number) id=\(other.jar["session"] ?? "none")\n")
            }
            #expect(one.jar["session"] != other.jar["session"])
            _ = try await one.get("/fast.pl?count-later")
            #expect(try await other.get("/fast.pl?count").text.hasPrefix("n=4 "))
            #expect(try await one.get("/fast.pl?delete").text.hasPrefix("n=4 "))
            #expect(one.jar.header == nil)
            var third = try Visitor("perl-fast")
            #expect(try await third.get("/fast.pl?count").text == "n=1 id=\(third.jar["session"] ?? "none")\n")
            #expect(process.output == "")
        }
    }
}
