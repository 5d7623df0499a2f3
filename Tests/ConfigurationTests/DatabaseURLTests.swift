import Testing

@testable import Configuration

struct DatabaseURLTests {
    @Test(arguments: [
        ("sqlite:/var/lib/x.sqlite", "sqlite:/var/lib/x.sqlite"),
        ("postgresql://u:p%40ss@db.example.com/s", "postgresql://u:redacted@db.example.com/s"),
        ("postgresql://u:p:s@db.example.com/s", "postgresql://u:redacted@db.example.com/s"),
        ("postgresql://u@/s?host=/run/postgresql", "postgresql://u@/s?host=/run/postgresql"),
        ("postgresql://db/s?user=u&password=hidden", "postgresql://db/s?user=u&redacted"),
        ("postgresql://db/s?p%61ssword=hidden&sslmode=require", "postgresql://db/s?redacted&sslmode=require"),
        ("mariadb://u:p@[::1]:3306/s", "mariadb://u:redacted@[::1]:3306/s"),
        ("mysql:///s?socket=/run/m.sock", "mysql:///s?socket=/run/m.sock"),
    ])
    func noPasswordIsShown(_ text: String, _ shown: String) throws {
        let url = try GatewayConfiguration.DatabaseURL(text)
        #expect(url.description == shown)
        #expect(String(reflecting: url) == shown)
        #expect(url.text == text)
    }

    @Test(arguments: ["", "sqlite:", "sqlite:relative", "postgresql:/x", "http://x/y", "mariadb://a b/c"])
    func otherTextsAreRefused(_ text: String) {
        #expect(throws: GatewayConfiguration.DatabaseURL.Problem.self) { try GatewayConfiguration.DatabaseURL(text) }
    }

    /// Nobody can tell where such a password ends: nothing of it is shown, and the remedy is.
    @Test(arguments: [
        "postgresql://u:zz/secret@10.0.0.1/db", "mariadb://u:zz/secret@10.0.0.1/db", "postgresql://u:zz?secret@h/db",
        "mariadb://u:zz@secret@10.0.0.1/db", "postgresql://u:my%zzsecret@10.0.0.1/db", "mariadb://u:secret%4@h/s",
        "postgresql://h/db?password=zz@secret",
    ])
    func aPasswordThatIsNotEncodedIsRefused(_ url: String) throws {
        let text = ConfigurationFileTests.site("database:\n  connections: 2\n  url: \"\(url)\"")
        let messages = ConfigurationFileTests.messages(text)
        #expect(messages.count == 1)
        let message = try #require(messages.first)
        #expect(message.hasPrefix("g.yaml:6:12: error: url: cannot be understood"))
        #expect(message.contains("%2F") && message.contains("%25"))
        #expect(!message.contains("zz") && !message.contains("secret"))
    }

    @Test func whatTheDatabasesLibraryRefusesTheCheckRefuses() {
        func messages(_ database: String) -> [String] {
            ConfigurationFile.parse(
                ConfigurationFileTests.site("database: \(database)"),
                name: "g.yaml",
                databaseProblem: { $0.contains("host-only") ? "names no database" : nil }
            ).diagnostics.map(\.description)
        }
        #expect(messages("mariadb://host-only") == ["g.yaml:4:15: error: url: names no database"])
        #expect(messages("{migrate: auto, url: mariadb://host-only}") == ["g.yaml:4:36: error: url: names no database"])
        #expect(messages("mariadb://host/s") == [])
    }

    @Test func sitesThatShareADatabaseOpenItInOneWay() {
        func messages(_ second: String) -> [String] {
            ConfigurationFileTests.messages(
                """
                state_directory: /s
                sites:
                  a:
                    backend: {fastcgi: "b:1"}
                  b:
                    database: \(second)
                    backend: {fastcgi: "b:1"}
                """
            )
        }
        #expect(messages("{session_log: /l}") == [])
        #expect(messages("{url: \"sqlite:/other\", connections: 8, migrate: manual}") == [])
        #expect(
            messages("{url: \"sqlite:/s/sessions.sqlite\", synchronous: full, connections: 8}") == [
                #"g.yaml:6:63: error: synchronous: is full here and normal in site "a", for the same database"#,
                #"g.yaml:6:82: error: connections: is 8 here and 4 in site "a", for the same database"#,
            ]
        )
    }

    @Test(arguments: [
        ("database: postgresql://h/d", true), ("database: mariadb://h/d", true), ("database: \"sqlite:/s\"", false),
        ("database: postgresql://h/d\nservers: [\"a:1\", \"b:1\", \"c:1\"]", false), ("unknown_ids: 1", false),
    ])
    func turnsOfSeveralGatewaysNeedMemcached(lines: String, isSaid: Bool) {
        let messages = ConfigurationFileTests.messages(ConfigurationFileTests.site("concurrency: serialize\n\(lines)"))
        #expect(messages.count == (isSaid ? 1 : 0))
        #expect(messages.allSatisfy { $0.hasPrefix("g.yaml:4:18: warning: concurrency: without servers") })
    }
}
