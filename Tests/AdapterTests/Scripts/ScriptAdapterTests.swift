import GatewayTesting
import Testing

/// The adapters for CGI scripts, with the interpreters and frameworks of Debian (pages/cgi-bin).
@Suite(
    .adapterStack(
        AdapterStack.Plan(stores: ["default"]) { parts in
            let environment =
                "PERL5LIB: \(parts.adapters)/perl, PYTHONPATH: \(parts.adapters)/python, "
                + "RUBYLIB: \(parts.adapters)/ruby, ADAPTERS: \(parts.adapters)"
            return """
                  default:
                    \(parts.store)
                    ignore: '^/static/'
                    backend:
                      cgi: \(parts.pages)/cgi-bin
                      queue_timeout: 60s
                      environment: {\(environment)}
                  perl-as-it-is:
                    sessions_of: default
                    backend:
                      cgi: \(parts.pages)/cgi-bin
                      queue_timeout: 60s
                      environment: {\(environment), PERL5OPT: -MCGI::Session::Driver::gateway=everywhere}
                  perl-fast:
                    sessions_of: default
                    backend:
                      fastcgi: unix:\(parts.pages)/fast.sock
                      connections: 1
                      queue_timeout: 60s
                """
        }
    )
)
struct ScriptAdapterTests {
    /// What every adapter does, told in its script's own words: the query for each wish.
    struct Script: CustomTestStringConvertible {
        var name: String
        var count: String
        var big: String?
        var login: String?
        var logout: String
        var anew: String?
        var testDescription: String { self.name }
    }

    static let scripts = [
        Script(name: "counter.pl", count: "?do=count", big: "?do=big", logout: "?do=delete", anew: "?do=anew"),
        Script(
            name: "script.py",
            count: "?do=count",
            big: "?do=big",
            login: "?do=login",
            logout: "?do=logout",
            anew: "?do=anew"
        ),
        Script(name: "flask_app.py", count: "/count", login: "/login?user=me", logout: "/logout"),
        Script(
            name: "rack.rb",
            count: "?do=count",
            big: "?do=big",
            login: "?do=login",
            logout: "?do=logout",
            anew: "?do=anew"
        ),
        Script(name: "script.sh", count: "?count", big: "?big", login: "?login", logout: "?logout", anew: "?anew"),
    ]

    private func number(_ response: HTTPResponse) -> Int? {
        response.text.firstRange(of: "n=").flatMap { range in
            Int(response.text[range.upperBound...].prefix { $0.isNumber })
        }
    }

    @Test(arguments: Self.scripts)
    func aScriptCountsItsVisits(script: Script) async throws {
        var visitor = try Visitor()
        let path = "/cgi-bin/\(script.name)\(script.count)"
        for number in 1...4 {
            let response = try await visitor.get(path)
            #expect(self.number(response) == number, "\(response.text) \(visitor.stack.gateway.log.suffix(2_000))")
            #expect(response.headers("Set-Cookie").count == (number == 1 ? 1 : 0))
            #expect(response.headers.allSatisfy { !$0.name.lowercased().hasPrefix("session-") })
        }
        #expect(visitor.jar.cookies.map(\.name) == ["session"])
        var other = try Visitor()
        #expect(self.number(try await other.get(path)) == 1)
    }

    @Test(arguments: Self.scripts)
    func aLargeSessionGoesThereAndBack(script: Script) async throws {
        guard let big = script.big else { return }
        var visitor = try Visitor()
        _ = try await visitor.get("/cgi-bin/\(script.name)\(script.count)")
        let stored = try await visitor.get("/cgi-bin/\(script.name)\(big)")
        let again = try await visitor.get("/cgi-bin/\(script.name)")
        #expect(stored.text == again.text)
        #expect(stored.text.count > 10 && again.text.contains("n=1"))
    }

    @Test(arguments: Self.scripts)
    func aSignInTakesANewId(script: Script) async throws {
        guard let login = script.login else { return }
        var visitor = try Visitor()
        _ = try await visitor.get("/cgi-bin/\(script.name)\(script.count)")
        var thief = visitor
        let response = try await visitor.get("/cgi-bin/\(script.name)\(login)")
        #expect(response.outcome == "moved")
        #expect(thief.jar["session"] != visitor.jar["session"])
        #expect(self.number(try await visitor.get("/cgi-bin/\(script.name)\(script.count)")) == 2)
        #expect(self.number(try await thief.get("/cgi-bin/\(script.name)\(script.count)")) == 1)
    }

    @Test(arguments: Self.scripts)
    func aLogoutEndsTheSession(script: Script) async throws {
        var visitor = try Visitor()
        _ = try await visitor.get("/cgi-bin/\(script.name)\(script.count)")
        var thief = visitor
        let response = try await visitor.get("/cgi-bin/\(script.name)\(script.logout)")
        #expect(response.outcome == "destroyed")
        #expect(visitor.jar.header == nil)
        #expect(self.number(try await thief.get("/cgi-bin/\(script.name)\(script.count)")) == 1)
    }

    @Test(arguments: Self.scripts)
    func whatBeginsBehindALogoutIsAnotherSession(script: Script) async throws {
        guard let anew = script.anew else { return }
        var visitor = try Visitor()
        _ = try await visitor.get("/cgi-bin/\(script.name)\(script.count)")
        var thief = visitor
        _ = try await visitor.get("/cgi-bin/\(script.name)\(anew)")
        #expect(visitor.jar["session"] != nil && visitor.jar["session"] != thief.jar["session"])
        #expect(self.number(try await visitor.get("/cgi-bin/\(script.name)\(script.count)")) == 101)
        #expect(self.number(try await thief.get("/cgi-bin/\(script.name)\(script.count)")) == 1)
    }
}
