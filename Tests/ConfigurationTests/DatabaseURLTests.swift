import Testing

@testable import Configuration

struct DatabaseURLTests {
    @Test(arguments: [
        ("sqlite:/var/lib/x.sqlite", "sqlite:/var/lib/x.sqlite"),
        ("postgresql://u:p%40ss@db.example.com/s", "postgresql://u:redacted@db.example.com/s"),
        ("postgresql://u@/s?host=/run/postgresql", "postgresql://u@/s?host=/run/postgresql"),
        ("postgresql://db/s?user=u&password=hidden", "postgresql://db/s?redacted"),
        ("mariadb://u:p@[::1]:3306/s", "mariadb://u:redacted@[::1]:3306/s"),
    ])
    func noPasswordIsShown(_ text: String, _ shown: String) throws {
        let url = try #require(GatewayConfiguration.DatabaseURL(text))
        #expect(url.description == shown)
        #expect(String(reflecting: url) == shown)
        #expect(url.text == text)
    }

    @Test(arguments: ["", "sqlite:", "sqlite:relative", "postgresql:/x", "http://x/y", "mariadb://a b/c"])
    func otherTextsAreRefused(_ text: String) {
        #expect(GatewayConfiguration.DatabaseURL(text) == nil)
    }
}
