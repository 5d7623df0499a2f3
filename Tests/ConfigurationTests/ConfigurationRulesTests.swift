import Testing

@testable import Configuration

@Suite struct ConfigurationRulesTests {
    private func messages(_ text: String) -> [String] { ConfigurationFileTests.messages(text) }
    private func site(_ lines: String) -> String { ConfigurationFileTests.site(lines) }

    @Test(arguments: [
        ("10.0.0.1:9010", false), ("0.0.0.0:9010", false), ("\"[::]:9010\"", false), ("example.com:9010", false),
        ("127.0.0.1:9010", true), ("127.9.9.9:9010", true), ("\"[::1]:9010\"", true), ("localhost:9010", true),
    ])
    func onlyLoopbackListensWithoutAllowedClients(address: String, isAllowed: Bool) {
        let messages = self.messages("listen: \(address)\n" + ConfigurationFileTests.smallest)
        #expect(messages.isEmpty == isAllowed)
        #expect(isAllowed || messages[0].hasPrefix("g.yaml:1:9: error: "))
        #expect(isAllowed || messages[0].contains("needs allowed_clients"))
        let withClients = "listen: {address: \(address), allowed_clients: 10.0.0.0/8}\n"
        #expect(self.messages(withClients + ConfigurationFileTests.smallest).isEmpty)
    }

    @Test(arguments: [
        ("listen: {address: 127.0.0.1:1, mode: \"0600\"}", "mode and group are for unix sockets"),
        ("listen: {address: 127.0.0.1:1, group: web}", "mode and group are for unix sockets"),
        ("listen: {address: /g.sock, allowed_clients: [127.0.0.1]}", "allowed_clients: is for TCP"),
        ("listen: [/g.sock, \"unix:/g.sock\"]", "is given twice"),
        ("listen: {address: /g.sock, mode: \"0999\"}", "is not a socket's mode"),
        ("listen: {address: /g.sock, mode: \"0060\"}", "is not a socket's mode"),
        ("listen: []", "the list is empty"),
        ("listen: {mode: \"0600\"}", "the key \"address\" is missing"),
        ("listen: 9010", "the port is missing"),
        ("listen: \"*:9010\"", "the host is missing"),
        ("listen: \"::1:9010\"", "stands in brackets"),
        ("listen: a:65536", "a number from 1 to 65535"),
        ("listen: \"unix:/\(String(repeating: "x", count: 107))\"", "at most 107 bytes"),
        ("{listen: /a/late.sock}", ""),
        ("late_socket: /run/session-gateway/gateway.sock", "is the address of a listener too"),
        ("late_socket: /\(String(repeating: "x", count: 99))", "has more than 99 bytes"),
        ("late_socket: 127.0.0.1:9010", "is not an absolute path"),
        ("listen: /\(String(repeating: "x", count: 90))/g.sock", "is longer than 99 bytes"),
    ])
    func listenersAreChecked(line: String, message: String) {
        let messages = self.messages(line + "\n" + ConfigurationFileTests.smallest)
        #expect(messages.count == 1)
        #expect(messages.first?.contains(message) == true)
        #expect(messages.first?.contains(": error: ") == true)
    }

    @Test(arguments: [
        ("cookie: {name: __Host-a, secure: never}", "secure: __Host-a needs secure"),
        ("cookie: {name: __host-a, secure: never}", "secure: __host-a needs secure"),
        ("cookie: {name: __Host-a, path: /x}", "path: __Host-a needs the path /"),
        ("cookie: {name: __Host-a, domain: example.com}", "domain: __Host-a can have no domain"),
        ("cookie: {name: __Secure-a, secure: never}", "secure: __Secure-a needs secure"),
        ("cookie: {secure: never}", "secure: auto, which is __Host-session under HTTPS, needs secure"),
        ("cookie: {domain: example.com}", "domain: auto, which is __Host-session under HTTPS, can have no domain"),
        ("cookie: {name: a, same_site: none, secure: never}", "same_site: none needs secure"),
        ("cookie: {name: \"a b\"}", "is not a cookie's name"),
        ("cookie: {name: \"a=b\"}", "is not a cookie's name"),
        ("cookie: {name: a, path: x}", "must start with /"),
        ("cookie: {name: a, path: \"/;x\"}", "must start with / and have no blanks, semicolons"),
        ("cookie: {name: a, domain: \"a;b\"}", "is not a host name"),
        ("cookie: {name: a, domain: a..b}", "is not a host name"),
        ("cookie: {name: a, domain: example.com.}", "is not a host name"),
        ("cookie: {name: a, domain: ..example.com}", "is not a host name"),
        ("cookie: {name: a, domain: .}", "is not a host name"),
        ("cookie: {name: a, domain: \(String(repeating: "x", count: 64)).com}", "is not a host name"),
        ("cookie: {name: __Host-Http-a, http_only: false}", "http_only: __Host-Http-a needs http_only: true"),
        ("cookie: {name: __http-a, http_only: false}", "http_only: __http-a needs http_only: true"),
        ("cookie: {http_only: 1}", "is neither true nor false"),
        ("cookie: {http_only: \"true\"}", "is neither true nor false"),
        ("load_timeout: 50ms", "load_timeout (50ms) must not be shorter than operation_timeout (100ms)"),
        ("operation_timeout: 300ms", "load_timeout (250ms) must not be shorter than operation_timeout (300ms)"),
        ("load_timeout: 2001ms", "out of range (1ms to 2s)"),
        ("max_size: 1000001", "out of range (1 to 1000000)"),
        ("max_size: 1m", "out of range"),
        ("max_size: 9999999999999999999k", "is not a size"),
        ("redundancy: 9", "out of range (1 to 8)"),
        ("redundancy: two", "is not a whole number"),
        ("redundancy: 2.0", "is not a whole number"),
        ("redundancy: \"2\"", "is not a whole number"),
        ("redundancy: [2]", "expected a number, found a list"),
        ("prefix: \"a b\"", "printable ASCII"),
        ("prefix: \"\(String(repeating: "p", count: 65))\"", "at most 64"),
        ("ignore: \"(\"", "is not a regular expression"),
        ("match: \"a.*.b\"", "is not a host name"),
        ("match: [a.example, A.EXAMPLE]", "is matched twice in this site"),
        ("servers: [\"a:1\", \"a:1\"]", "servers: a:1 is given twice"),
        ("servers: []", "the list is empty"),
        ("servers: \" , \"", "no server in"),
        ("servers: {weight: 2}", "the key \"address\" is missing"),
        ("servers: [{address: \"a:1\", weight: 0}]", "out of range (1 to 1000)"),
        ("idle_lifetime: 99999999999999999999s", "is not a duration"),
        ("idle_lifetime: 9223372036854775807d", "is not a duration"),
        ("idle_lifetime: 0", "out of range"),
        ("idle_lifetime: -1s", "is not a duration"),
        ("adapter: PHP", "did you mean \"php\"?"),
        ("adapter_file: adapter.php", "is not an absolute path"),
        ("adapter_file: '/a$b'", "must not contain"),
        ("adapter_file: '/a\"b'", "must not contain"),
        ("max_item_age: 24h", "out of range (60s to 23h)"),
    ])
    func impossibleValuesAndCombinationsAreErrors(line: String, message: String) {
        let messages = self.messages(self.site(line)).filter { $0.contains(": error: ") }
        #expect(messages.count == 1)
        #expect(messages.first?.contains(message) == true)
        #expect(messages.first?.hasPrefix("g.yaml:4:") == true)
    }

    @Test(arguments: [
        "cookie: {name: __Host-a}", "cookie: {name: __Host-a, secure: always}", "cookie: {same_site: none}",
        "cookie: {name: a, secure: never, path: /x, domain: .example.com}", "load_timeout: 100ms",
        "match: _", "idle_lifetime: 1440", "x_accel: on", "max_size: 1000000", "adapter: none",
        "servers: [\"a:1\", \"b:1\", \"c:1\"]",
        // What memcached lets go of comes back from the database.
        "servers: [\"a:1\", \"b:1\", \"c:1\"]\ndatabase: sqlite:/s.sqlite\nabsolute_lifetime: 7d\nidle_lifetime: 48h",
    ])
    func whatIsPossibleIsTaken(line: String) {
        #expect(self.messages(self.site(line)).isEmpty)
    }

    @Test(arguments: [
        ("servers: [\"a:1\"]", "g.yaml:4:14: warning: redundancy: there are fewer servers (1) than copies (2)"),
        ("servers: [\"a:1\", \"b:1\"]", "g.yaml:4:14: warning: servers: 2 copies want 3 servers"),
        ("redundancy: 2", "g.yaml:4:17: warning: redundancy: has no effect without servers"),
        (
            "servers: [\"a:1\", \"b:1\", {address: \"c:1\", weight: 2}]\nring: ketama",
            "g.yaml:4:14: warning: servers: the ring ketama takes no notice of weights"
        ),
        (
            "servers: \"a:1,b:1,c:1\"\nidle_lifetime: 48h",
            "g.yaml:5:20: warning: idle_lifetime: has no effect beyond absolute_lifetime (24h)"
        ),
        (
            "servers: \"a:1,b:1,c:1\"\nabsolute_lifetime: 7d\nidle_lifetime: 48h",
            "g.yaml:6:20: warning: idle_lifetime: sessions end after max_item_age (23h)"
        ),
        ("adapter_file: /a.php", "g.yaml:4:19: warning: adapter_file: has no effect without adapter: php"),
    ])
    func whatIsLegalButUnwiseIsAWarning(lines: String, message: String) {
        let result = ConfigurationFile.parse(self.site(lines), name: "g.yaml")
        #expect(result.configuration != nil)
        #expect(result.warnings.count == 1)
        #expect(result.warnings.first?.description.hasPrefix(message) == true)
    }

    @Test(arguments: [
        ("cgi: /srv", "standard", "it needs a fastcgi backend"),
        ("fastcgi: /php.sock", "mod_session", "speaks the contract standard"),
        ("fastcgi: /php.sock", "standard", nil),
    ])
    func theAdapterOfPHPNeedsPHPFPM(backend: String, contract: String, error: String?) {
        let text = """
            sites:
              a:
                servers: ["a:1", "b:1", "c:1"]
                contract: \(contract)
                adapter: php
                backend: {\(backend)}
            """
        let messages = self.messages(text)
        #expect(messages.count == (error == nil ? 0 : 1))
        if let error { #expect(messages.first?.contains(error) == true) }
    }

    @Test func twoSitesCannotMatchOneName() {
        let text = """
            sites:
              a: {match: [x.example], backend: {fastcgi: "a:1"}}
              b:
                match: X.example
                backend: {fastcgi: "a:1"}
            """
        #expect(self.messages(text) == [#"g.yaml:4:12: error: match: "x.example" is matched by site "a" too"#])
    }

    @Test func sitesWithTheSameSessionsHaveOneLineOfRequests() {
        let text = """
            sites:
              shop: {concurrency: serialize, backend: {fastcgi: "a:1"}}
              blog: {concurrency: serialize, lock_timeout: 5s, backend: {fastcgi: "a:1"}}
              scripts: {sessions_of: shop, concurrency: serialize, max_waiting: 0, backend: {cgi: /cgi-bin}}
              reports: {sessions_of: shop, lock_timeout: 1s, backend: {cgi: /cgi-bin}}
            """
        #expect(
            self.messages(text) == [
                #"g.yaml:4:69: error: max_waiting: is 0 here and 6 in site "shop", for the same sessions"#
            ]
        )
    }

    @Test func theGatewayIsNotItsOwnBackend() {
        let text = "listen: 127.0.0.1:9000\nsites: {a: {backend: {fastcgi: [\"127.0.0.1:9000\"]}}}"
        #expect(
            self.messages(text) == ["g.yaml:2:33: error: fastcgi: 127.0.0.1:9000 is where the gateway itself listens"]
        )
    }

    @Test(arguments: [
        ("{cgi: /}", "every program of this machine"), ("{cgi: bin}", "is not an absolute path"),
        ("{cgi: /a/../b}", "must not contain .."), ("{cgi: /a, pass: [LD_PRELOAD]}", "changes how programs are loaded"),
        ("{cgi: /a, pass: [HTTP_PROXY]}", "httpoxy"), ("{cgi: /a, pass: [SESSION_ID]}", "belongs to the contract"),
        ("{cgi: /a, pass: [1A]}", "is not the name of a variable"),
        ("{cgi: /a, environment: {SESSION_DATA: x}}", "belongs to the contract"),
        ("{cgi: /a, environment: {\"A=B\": x}}", "is not the name of a variable"),
        ("{cgi: /a, environment: {A: [x]}}", "needs a text"), ("{cgi: /a, environment: x}", "expected a mapping"),
    ])
    func backendsAreChecked(backend: String, message: String) {
        let messages = self.messages(ConfigurationFileTests.site("", backend: backend))
        #expect(messages.count == 1)
        #expect(messages.first?.contains(message) == true)
    }

    @Test func aValueThatCannotBeReadCausesNoSecondError() {
        #expect(self.messages(self.site("load_timeout: x\noperation_timeout: 2s")).count == 1)
        #expect(self.messages("listen: nonsense\n" + ConfigurationFileTests.smallest).count == 1)
        #expect(self.messages(self.site("cookie: {name: __Host-a, path: nonsense}")).count == 1)
    }

    @Test func aSiteCanShareTheSessionsOfAnother() throws {
        let text = """
            sites:
              scripts: {sessions_of: shop, ignore: x, backend: {cgi: /cgi-bin}}
              shop:
                servers: ["a:1", "b:1", "c:1"]
                max_size: 1k
                cookie: {name: sid}
                backend: {fastcgi: "d:1"}
            """
        let configuration = try ConfigurationFile.parse(text, name: "g.yaml").get()
        let scripts = configuration.sites[0]
        #expect(scripts.storeName == "shop")
        #expect(configuration.sites[1].storeName == "shop")
        #expect(scripts.servers == configuration.sites[1].servers)
        #expect(scripts.maximumSize == 1_024)
        #expect(scripts.cookie.name == .fixed("sid"))
        #expect(scripts.ignore == "x")
        #expect(try ConfigurationFile.parse(configuration.yaml, name: "again").get() == configuration)
    }

    @Test func sharedSessionsAreConfiguredInOnePlace() {
        let text = """
            sites:
              a: {sessions_of: b, redundancy: 1, cookie: {name: x}, backend: {cgi: /x}}
              b: {backend: {cgi: /x}}
              c: {sessions_of: a, backend: {cgi: /x}}
              d: {sessions_of: d, backend: {cgi: /x}}
              shop.example.com: {backend: {cgi: /x}}
              e: {sessions_of: shop.example.org, backend: {cgi: /x}}
            """
        #expect(
            self.messages(text) == [
                #"g.yaml:2:35: error: redundancy: stands in site "b", whose sessions this site shares"#,
                #"g.yaml:2:46: error: cookie: stands in site "b", whose sessions this site shares"#,
                #"g.yaml:4:20: error: sessions_of: "a" has no sessions of its own"#,
                #"g.yaml:5:20: error: sessions_of: "d" is this site"#,
                #"g.yaml:7:20: error: sessions_of: there is no site "shop.example.org", did you mean "shop.example.com"?"#,
            ]
        )
    }

    @Test func everySharedKeyIsAKeyThatIsTaken() throws {
        #expect(GatewayConfiguration.Site.sharedKeys.isSubset(of: GatewayConfiguration.Site.keys.map(\.name)))
        var other = GatewayConfiguration.Site()
        other.servers = .savePath("a:1")
        other.previousServers = .list([.init(address: .tcp(host: "b", port: 2))])
        other.database.url = try GatewayConfiguration.DatabaseURL("sqlite:/sessions")
        other.idSecrets = [.init("0123456789abcdef")]
        other.unknownIDs = 7
        other.redundancy = 3
        other.ring = .flexihash
        other.prefix = "x"
        other.secret = .init("0123456789abcdef")
        other.idleLifetime = .seconds(1)
        other.absoluteLifetime = .seconds(2)
        other.maximumItemAge = .seconds(61)
        other.maximumSize = 1
        other.connectTimeout = .seconds(3)
        other.operationTimeout = .milliseconds(4)
        other.loadTimeout = .milliseconds(5)
        other.queueLength = 16
        other.whenDegraded = .refuse
        other.whenUnavailable = .anonymous
        other.cookie.lifetime = .seconds(9)
        other.adoption = .init()
        var site = GatewayConfiguration.Site()
        site.takeSharedValues(from: other)
        for key in GatewayConfiguration.Site.keys where GatewayConfiguration.Site.sharedKeys.contains(key.name) {
            #expect(key.render(site) != key.render(.init()) || key.name == "secret")
            #expect(key.render(site) == key.render(other))
        }
        #expect(site.secret == other.secret)
    }

    @Test func ofSeveralEntriesTheWrongOneIsNamed() {
        let text = """
            listen:
              - 127.0.0.1:1
              - {address: 10.0.0.1:1, allowed_clients: [127.0.0.1]}
              - 10.0.0.2:1
              - address: 127.0.0.1:2
                mode: "0600"
              - 127.0.0.1:1
            sites:
              a:
                match:
                  - a.example
                  - b.example
                  - a.example
                servers:
                  - a:1
                  - b:1
                  - a:1
                backend:
                  fastcgi:
                    - c:1
                    - d:1
                    - c:1
            """
        #expect(
            self.messages(text).map { String($0.split(separator: " ")[0]) } == [
                "g.yaml:4:5:", "g.yaml:6:11:", "g.yaml:7:5:", "g.yaml:13:9:", "g.yaml:17:9:", "g.yaml:22:11:",
            ]
        )
    }
}
