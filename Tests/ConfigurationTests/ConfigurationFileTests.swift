import Testing

@testable import Configuration

@Suite struct ConfigurationFileTests {
    static let smallest = "sites: {default: {backend: {fastcgi: \"unix:/run/php.sock\"}}}\n"

    /// A site named shop with what a test puts in, indented by four.
    static func site(_ lines: String, backend: String = "{fastcgi: 127.0.0.1:9000}") -> String {
        "sites:\n  shop:\n    backend: \(backend)\n"
            + lines.split(separator: "\n").map { "    \($0)\n" }.joined()
    }

    static func messages(_ text: String) -> [String] {
        ConfigurationFile.parse(text, name: "g.yaml").diagnostics.map(\.description)
    }

    @Test func theSmallestFileHasAllDefaults() throws {
        let result = ConfigurationFile.parse(Self.smallest, name: "g.yaml")
        let configuration = try result.get()
        #expect(result.diagnostics.isEmpty)
        #expect(configuration.listeners == [.init(address: .unix(path: "/run/session-gateway/gateway.sock"))])
        #expect(configuration.lateSocketPath == "/run/session-gateway/late.sock")
        #expect(configuration.stateDirectory == "/var/lib/session-gateway")
        let site = try #require(configuration.sites.first)
        #expect(site.name == "default")
        #expect(!site.hasServers)
        #expect(site.database == GatewayConfiguration.Database())
        #expect(site.redundancy == 2)
        #expect(site.idleLifetime == .seconds(1_440))
        #expect(site.absoluteLifetime == .seconds(86_400))
        #expect(site.maximumSize == 524_288)
        #expect(site.loadTimeout == .milliseconds(250))
        #expect(site.operationTimeout == .milliseconds(100))
        #expect(site.cookie == .init())
        #expect(site.cacheLimiter == .privateNoStore)
        guard case .fastCGI(let backend) = site.backend else {
            Issue.record("not a FastCGI backend")
            return
        }
        #expect(backend.upstreams == [.unix(path: "/run/php.sock")])
        #expect(backend.connections == 4)
        #expect(backend.idleTimeout == .seconds(5))
    }

    @Test func everyKeyIsRead() throws {
        let text = """
            listen:
              - unix:/run/a.sock
              - address: 127.0.0.1:9010
                allowed_clients: [127.0.0.1, "::1", 10.0.0.0/8]
              - {address: /run/b.sock, mode: "0666", group: www-data}
            threads: 3
            header_timeout: 11s
            client_timeout: 2m
            minimum_rate: 0
            max_connections: 100
            shutdown_timeout: 1s
            late_socket: /run/l.sock
            late_group: web
            late_timeout: 5s
            log_level: debug
            state_directory: /srv/state/
            sites:
              shop:
                match: [Shop.example.com, "*.shop.example.com"]
                servers: [10.0.0.1:11211, {address: 10.0.0.2:11211, weight: 2}, "unix:/run/m.sock", "[::1]:11211", localhost:1]
                redundancy: 3
                ring: pecl_fnv
                prefix: "p:"
                secret: 0123456789abcdef
                ignore: '\\.(css|js)$'
                idle_lifetime: 30m
                absolute_lifetime: 7d
                max_item_age: 22h
                max_size: 64k
                connect_timeout: 300ms
                operation_timeout: 50ms
                load_timeout: 1s
                queue_length: 64
                when_degraded: refuse
                when_unavailable: anonymous
                cache_limiter: nocache
                contract: mod_session
                x_accel: yes
                cookie:
                  name: __Host-id
                  path: /
                  secure: always
                  http_only: false
                  same_site: strict
                  lifetime: 1d
                  duplicates: first
                backend:
                  fastcgi: [unix:/run/php.sock, 127.0.0.1:9000]
                  connections: 8
                  idle_timeout: 1s
                  queue_length: 10
                  queue_timeout: 2s
                  connect_timeout: 3s
                  response_timeout: 4s
                  io_timeout: 5s
                  root: /var/www/
              old:
                servers: "tcp://10.0.0.1:11211?weight=2, tcp://10.0.0.2:11211, tcp://10.0.0.3:11211"
                cookie: {name: sid, domain: example.com, path: /old}
                backend:
                  cgi: /usr/lib/cgi-bin/
                  processes: 2
                  timeout: 3s
                  queue_length: 4
                  queue_timeout: 5s
                  environment: {LANG: C.UTF-8, N: 1}
                  pass: [GEOIP_COUNTRY]
            """
        let result = ConfigurationFile.parse(text, name: "g.yaml")
        let configuration = try result.get()
        #expect(result.diagnostics.isEmpty)
        #expect(configuration.listeners.count == 3)
        #expect(configuration.listeners[1].allowedClients.map(\.description) == ["127.0.0.1", "::1", "10.0.0.0/8"])
        #expect(configuration.listeners[1].allowedClients[2].prefixLength == 8)
        #expect(configuration.listeners[2].mode == 0o666)
        #expect(configuration.listeners[2].group == "www-data")
        #expect(configuration.threads == .count(3))
        #expect(configuration.clientTimeout == .seconds(120))
        #expect(configuration.minimumRate == 0)
        #expect(configuration.lateSocketPath == "/run/l.sock")
        #expect(configuration.lateGroup == "web")
        #expect(configuration.logLevel == .debug)
        #expect(configuration.stateDirectory == "/srv/state")

        let shop = configuration.sites[0]
        #expect(shop.match == ["shop.example.com", "*.shop.example.com"])
        #expect(
            shop.servers
                == .list([
                    .init(address: .tcp(host: "10.0.0.1", port: 11_211)),
                    .init(address: .tcp(host: "10.0.0.2", port: 11_211), weight: 2),
                    .init(address: .unix(path: "/run/m.sock")),
                    .init(address: .tcp(host: "::1", port: 11_211)),
                    .init(address: .tcp(host: "localhost", port: 1)),
                ])
        )
        #expect(shop.redundancy == 3)
        #expect(shop.ring == .peclFNV)
        #expect(shop.prefix == "p:")
        #expect(shop.secret == .init("0123456789abcdef"))
        #expect(shop.ignore == #"\.(css|js)$"#)
        #expect(shop.absoluteLifetime == .seconds(7 * 86_400))
        #expect(shop.maximumItemAge == .seconds(22 * 3_600))
        #expect(shop.maximumSize == 65_536)
        #expect(shop.queueLength == 64)
        #expect(shop.whenDegraded == .refuse)
        #expect(shop.whenUnavailable == .anonymous)
        #expect(shop.cacheLimiter == .noCache)
        #expect(shop.contract == .modSession)
        #expect(shop.passesXAccel)
        #expect(shop.cookie.name == .fixed("__Host-id"))
        #expect(shop.cookie.secure == .always)
        #expect(!shop.cookie.httpOnly)
        #expect(shop.cookie.sameSite == .strict)
        #expect(shop.cookie.lifetime == .seconds(86_400))
        #expect(shop.cookie.duplicates == .first)
        guard case .fastCGI(let fastCGI) = shop.backend, case .cgi(let cgi) = configuration.sites[1].backend else {
            Issue.record("wrong kinds of backends")
            return
        }
        #expect(fastCGI.upstreams == [.unix(path: "/run/php.sock"), .tcp(host: "127.0.0.1", port: 9_000)])
        #expect(fastCGI.connections == 8)
        #expect(fastCGI.inputOutputTimeout == .seconds(5))
        #expect(fastCGI.root == "/var/www")
        #expect(configuration.sites[1].servers.count == 3)
        #expect(configuration.sites[1].cookie.domain == "example.com")
        #expect(cgi.root == "/usr/lib/cgi-bin")
        #expect(cgi.processes == 2)
        #expect(cgi.queueLength == 4)
        #expect(cgi.environment == ["LANG": "C.UTF-8", "N": "1"])
        #expect(cgi.passedNames == ["GEOIP_COUNTRY"])
    }

    @Test func allErrorsAreToldAtOnceWithTheirPlaces() {
        let text = """
            thread: 2
            header_timeout: soon
            threads: 0
            sites:
              default:
                redundency: 2
                load_timeout: 5s
                ring: ketema
                cookie:
                  same_site: None
                backend: {fastcgi: "unix:relative", processes: 3}
                threads: 1
            """
        #expect(
            Self.messages(text) == [
                #"g.yaml:1:1: error: unknown key "thread", did you mean "threads"?"#,
                #"g.yaml:2:17: error: header_timeout: "soon" is not a duration such as 250ms, 10s, 30m, 24h or 7d"#,
                #"g.yaml:3:10: error: threads: "0" is neither auto nor a number from 1 to 256"#,
                #"g.yaml:6:5: error: unknown key "redundency", did you mean "redundancy"?"#,
                #"g.yaml:7:19: error: load_timeout: 5s is out of range (1ms to 2s)"#,
                #"g.yaml:8:11: error: ring: "ketema" is not known, did you mean "ketama"? possible are ketama_weighted, ketama, pecl_crc32, pecl_fnv, flexihash"#,
                #"g.yaml:10:18: error: same_site: "None" is not known, did you mean "none"? possible are lax, strict, none, unset"#,
                #"g.yaml:11:24: error: fastcgi: "unix:relative": a unix socket needs an absolute path: unix:/run/….sock"#,
                #"g.yaml:11:41: error: unknown key "processes"; it belongs to sites.NAME.backend with cgi"#,
                #"g.yaml:12:5: error: unknown key "threads"; it belongs to Top level"#,
            ]
        )
    }

    @Test(arguments: [
        ("", "g.yaml: error: the file is empty"),
        ("# nothing\n", "g.yaml: error: the file is empty"),
        ("just text", "g.yaml:1:1: error: expected a mapping, found a single value"),
        ("- a\n- b\n", "g.yaml:1:1: error: expected a mapping, found a list"),
        ("threads: 1", #"g.yaml:1:1: error: the key "sites" is missing"#),
        ("sites: {}", "g.yaml:1:8: error: sites: the mapping is empty; the gateway needs a site"),
        ("sites:", "g.yaml:1:1: error: sites: has no value; leave the key out to get the default"),
        ("sites: {a: }", "g.yaml:1:9: error: a: expected a mapping, found nothing"),
        ("sites: {a: {ring: ketama}}", #"g.yaml:1:12: error: a: the key "backend" is missing"#),
        (
            "sites: {a: {backend: {root: /x}}}",
            "g.yaml:1:22: error: backend: needs fastcgi: ADDRESS or cgi: DIRECTORY"
        ),
        (
            "sites: {a: {backend: {fastcgi: \"a:1\", cgi: /x}}}",
            "g.yaml:1:39: error: backend: has both fastcgi and cgi; a site has one backend"
        ),
        (
            "threads: [1\n",
            "g.yaml:2:1: error: not valid YAML: while parsing a flow sequence, did not find expected ',' or ']'"
        ),
        (
            "a: 1\n---\nb: 1\n",
            "g.yaml:2:1: error: not valid YAML: expected a single document in the stream, but found another document"
        ),
    ])
    func whatIsNoConfigurationIsTold(text: String, message: String) {
        #expect(Self.messages(text) == [message])
    }

    @Test(arguments: [
        ("name with blank", "name with blank"),
        ("über", "über"),
        (String(repeating: "x", count: 33), String(repeating: "x", count: 33)),
    ])
    func aSiteNameIsPartOfKeysAndThereforeChecked(name: String, shown: String) {
        let text = "sites: {\"\(name)\": {backend: {fastcgi: \"a:1\"}}}"
        #expect(
            Self.messages(text) == [
                "g.yaml:1:9: error: \"\(shown)\" is not a site's name: 1 to 32 of A-Z a-z 0-9 . _ -"
            ]
        )
    }

    @Test func duplicateKeysAreErrorsAndDoNotHideOthers() {
        let text = """
            threads: 1
            log_level: loud
            threads: 2
            sites:
              a: {backend: {fastcgi: "a:1"}, redundancy: 1, "redundancy": 9, redundancy: 2}
              a: {backend: {cgi: /x}, rong: 1}
            """
        #expect(
            Self.messages(text) == [
                #"g.yaml:2:12: error: log_level: "loud" is not known, possible are trace, debug, info, notice, warning, error, critical"#,
                #"g.yaml:3:1: error: "threads" is given more than once; before in line 1"#,
                #"g.yaml:5:49: error: "redundancy" is given more than once; before in line 5"#,
                #"g.yaml:5:66: error: "redundancy" is given more than once; before in line 5"#,
                #"g.yaml:6:3: error: "a" is given more than once; before in line 5"#,
                #"g.yaml:6:27: error: unknown key "rong", did you mean "ring"?"#,
            ]
        )
    }

    @Test func fiftyDuplicatesAreToldOneByOneAndMoreEndTheReading() {
        let many = (0..<60).map { "k\($0): 1\nk\($0): 2\n" }.joined()
        let messages = Self.messages(many)
        #expect(messages.count == 1)
        #expect(messages[0].contains("given more than once"))
    }

    @Test func aFileBeyondAMebibyteIsRefusedUnread() {
        let text = Self.smallest + String(repeating: "#", count: ConfigurationFile.maximumSize)
        #expect(Self.messages(text) == ["g.yaml: error: larger than 1 MiB"])
    }

    @Test func aFileOfThousandsOfErrorsTellsTheFirstOnes() {
        let line = "zzzzzzzzzzzz"
        let text = (0..<20_000).map { "\(line)\($0): 1\n" }.joined()
        let messages = Self.messages(text)
        #expect(messages.count == ConfigurationReader.maximumDiagnostics + 1)
        #expect(messages.last?.hasSuffix("more problems are not shown") == true)
    }

    @Test func secretsAppearNowhere() throws {
        let secret = "correct-horse-battery"
        let text = Self.site("secret: \(secret)")
        let configuration = try ConfigurationFile.parse(text, name: "g.yaml").get()
        #expect(configuration.sites[0].secret?.text == secret)
        #expect(!configuration.yaml.contains(secret))
        #expect(configuration.yaml.contains("secret: redacted"))
        #expect(!"\(configuration)".contains(secret))
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains(secret))
        #expect(
            Self.messages(Self.site("secret: short")) == ["g.yaml:4:13: error: secret: must have 16 to 1,000 bytes"]
        )
    }

    @Test func theStateDirectoryComesFromTheEnvironment() throws {
        func directory(_ environment: [String: String]) throws -> String {
            try ConfigurationFile.parse(Self.smallest, name: "g.yaml", environment: environment).get().stateDirectory
        }
        #expect(try directory(["STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/root"]) == "/var/lib/a")
        #expect(try directory(["XDG_STATE_HOME": "/x", "HOME": "/root"]) == "/x/session-gateway")
        #expect(try directory(["HOME": "/root"]) == "/root/.local/state/session-gateway")
        #expect(try directory(["XDG_STATE_HOME": "relative"]) == "/var/lib/session-gateway")
    }

    @Test func theLateSocketLiesBesideTheFirstUnixListener() throws {
        func path(_ listen: String) throws -> String {
            try ConfigurationFile.parse("listen: \(listen)\n" + Self.smallest, name: "g.yaml").get().lateSocketPath
        }
        #expect(try path("[127.0.0.1:9010, \"unix:/run/x/g.sock\"]") == "/run/x/late.sock")
        #expect(try path("/g.sock") == "/late.sock")
        #expect(try path("127.0.0.1:9010") == "/var/lib/session-gateway/late.sock")
    }

    @Test func aSavePathIsCheckedByWhoeverKnowsIt() {
        let text = Self.site("servers: \"tcp://a:1,tcp://b:1,tcp://c:1\"")
        let result = ConfigurationFile.parse(text, name: "g.yaml") { "no good: \($0.utf8.count) bytes" }
        #expect(result.diagnostics.map(\.description) == ["g.yaml:4:14: error: servers: no good: 29 bytes"])
    }

    @Test func aFileThatCannotBeReadIsAnError() {
        #expect(
            ConfigurationFile.load(path: "/nonexistent/g.yaml").diagnostics.map(\.description)
                == ["/nonexistent/g.yaml: error: cannot be opened: No such file or directory"]
        )
        #expect(ConfigurationFile.load(path: "/dev").diagnostics.map(\.description) == ["/dev: error: is not a file"])
        #expect(ConfigurationFile.load(path: "/dev/zero").configuration == nil)
    }
}
