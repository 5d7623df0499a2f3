import GatewayTesting
import Testing

extension ScriptAdapterTests {
    struct RackAndShellTests {
        @Test func rackWritesOnlyWhatHasChanged() async throws {
            var visitor = try Visitor()
            #expect(try await visitor.get("/cgi-bin/rack.rb").outcome == "unchanged")
            _ = try await visitor.get("/cgi-bin/rack.rb?do=count")
            #expect(try await visitor.get("/cgi-bin/rack.rb?do=untouched").outcome == "loaded")
            #expect(try await visitor.get("/cgi-bin/rack.rb").outcome == "loaded")
            #expect(try await visitor.get("/cgi-bin/rack.rb?do=drop").outcome == "destroyed")
            #expect(visitor.jar.header == nil)
        }

        @Test func rackStartsEmptyWhereItCannotDecode() async throws {
            var visitor = try Visitor()
            _ = try await visitor.get("/cgi-bin/script.sh?count")
            #expect(try await visitor.get("/cgi-bin/rack.rb").text.hasPrefix("n= "))
            #expect(try await visitor.get("/cgi-bin/script.sh").text.hasPrefix("n=1 "))
        }

        @Test func aShellKeepsEveryCharacter() async throws {
            var visitor = try Visitor()
            let odd = #"100%of'this'"and"\n$HOME\nsecondline"#
            #expect(try await visitor.get("/cgi-bin/script.sh?odd").text.contains(odd))
            #expect(try await visitor.get("/cgi-bin/script.sh").text.contains(odd))
            #expect(try await visitor.get("/cgi-bin/script.sh?unset").text.contains(odd))
        }
    }
}
