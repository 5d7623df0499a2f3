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

        /// The blob stands in the environment as the gateway gives it. Objects of classes that it names are made by nobody.
        @Test(arguments: [
            ("[1]", "{}"), ("5", "{}"), ("null", "{}"), ("arrays", "{}"), ("hashes", "{}"),
            (#"{"json_class":"Range","a":[1,2,false]}"#, #"{"json_class"=>"Range", "a"=>[1, 2, false]}"#),
        ])
        func rackTakesABadBlobForAnEmptySession(blob: String, session: String) async throws {
            let directory = try TemporaryDirectory()
            let process = try ServerProcess(
                Executable.find("ruby", package: "ruby"),
                [
                    "-I", "\(AdapterStack.project)/Adapters/ruby", "-r", "json/add/range", "-r", "session_gateway",
                    "-e",
                    """
                    blob = { 'arrays' => '[' * 200_000, 'hashes' => '{"a":' * 200_000 }.fetch(ARGV[0], ARGV[0])
                    show = ->(env) { [200, {}, [Rack::Request.new(env).session.to_h.inspect]] }
                    status, headers, body = Rack::Session::Gateway.new(show).call(
                      Rack::MockRequest.env_for('/', 'SESSION_DATA' => [blob].pack('m0'), 'SESSION_STATE' => 'live',
                        'SESSION_ID' => 'a', 'SESSION_NEXT_ID' => 'b', 'SESSION_TOKEN' => 't', 'rack.errors' => $stderr))
                    puts "#{status} #{headers} #{body.each.to_a.join}"
                    """, blob,
                ],
                output: directory.path("log")
            )
            #expect(try await process.waitForEnd() == .status(0))
            #expect(process.output.hasSuffix("200 {} \(session)\n"))
            #expect(process.output.contains("a session that cannot be decoded") == (session == "{}"))
        }

        @Test func aShellKeepsWhatIsNoTextOfItsLocale() async throws {
            var visitor = try Visitor()
            _ = try await visitor.get("/cgi-bin/script.sh?count")
            #expect(try await visitor.get("/cgi-bin/script.sh?bytes").text.hasPrefix("n=1 user= caf351"))
            #expect(try await visitor.get("/cgi-bin/script.sh?login").text.hasPrefix("n=1 user=me caf351"))
            #expect(try await visitor.get("/cgi-bin/script.sh?count").text.hasPrefix("n=2 user=me caf351"))
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
