import Testing

@testable import Database

struct DatabaseLocationTests {
    @Test func aMariaDBIsNamedByItsURI() throws {
        let full = try #require(MariaDBLocation(uri: "mariadb://shop:p%40ss%3a@db.example.com:3307/sessions"))
        #expect(
            full
                == MariaDBLocation(
                    host: "db.example.com",
                    port: 3_307,
                    user: "shop",
                    password: "p@ss:",
                    database: "sessions"
                )
        )
        let local = try #require(MariaDBLocation(uri: "mysql:///sessions?socket=/run/mysqld/mysqld.sock"))
        #expect(local == MariaDBLocation(socket: "/run/mysqld/mysqld.sock", database: "sessions"))
        #expect(MariaDBLocation(uri: "mariadb://[::1]:3306/s")?.host == "::1")
        #expect(MariaDBLocation(uri: "mariadb://[::1]/s")?.host == "::1")
    }

    @Test(arguments: [
        "mariadb://host", "mariadb://host/", "mariadb:///s", "mariadb://h:0/s", "mariadb://h/s?ssl=1",
        "mariadb://h/a/b",
        "mariadb://u%4@h/s", "sqlite:relative", "oracle://x/y", "",
    ])
    func otherTextsAreRefused(_ text: String) {
        #expect(DatabaseLocation(text) == nil)
    }

    @Test func noPasswordIsShown() throws {
        for text in ["postgresql://u:hidden@h/s", "mariadb://u:hidden@h/s"] {
            let location = try #require(DatabaseLocation(text))
            #expect(!"\(location) \(String(reflecting: location))".contains("hidden"))
        }
    }
}
