import Testing

@testable import Database

struct DatabaseLocationTests {
    @Test func aMariaDBIsNamedByItsURI() throws {
        let full = try MariaDBLocation(uri: "mariadb://shop:p%40ss%3a@db.example.com:3307/sessions")
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
        let local = try MariaDBLocation(uri: "mysql:///sessions?socket=/run/mysqld/mysqld.sock")
        #expect(local == MariaDBLocation(socket: "/run/mysqld/mysqld.sock", database: "sessions"))
        #expect(try MariaDBLocation(uri: "mariadb://[::1]:3306/s").host == "::1")
        #expect(try MariaDBLocation(uri: "mariadb://[::1]/s").host == "::1")
    }

    @Test(arguments: [
        "postgresql://u:p%40s@h:5432/s?sslmode=require", "postgres:///s?host=/run/postgresql&user=u",
        "postgresql://a:1,b:2/s", "postgresql://", "sqlite:/x",
    ])
    func whatTheLibraryTakesIsTaken(_ text: String) throws {
        _ = try DatabaseLocation(text)
    }

    @Test(arguments: [
        ("mariadb://host", "names no database"), ("mariadb://host/", "names no database"),
        ("mariadb:///s", "names no host"), ("mariadb://h:0/s", "port"), ("mariadb://u:secret/s", "port"),
        ("mariadb://h/s?ssl=secret", "?socket=/path"), ("mariadb://h/a/b", "names no database"),
        ("mariadb://u:pa/secret@h/db", "names no database"), ("mariadb://u%4@h/s", "%25"),
        ("mariadb://u:secret%00@h/s", "%25"), ("mariadb://h/s?socket=secret", "a path"),
        ("postgresql://u:my%zzsecret@10.0.0.1/db", "libpq"), ("postgresql://u:secret/db", "port"),
        ("postgresql://h/db?sekret=secret", "libpq"), ("postgresql://h/db?secret", "libpq"),
        ("sqlite:relative", "neither"), ("oracle://x/y", "neither"), ("", "neither"),
    ])
    func otherTextsAreRefusedWithoutRepeatingThem(_ text: String, _ word: String) {
        let error = #expect(throws: DatabaseError.self) { try DatabaseLocation(text) }
        #expect(error?.message.contains(word) == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func noPasswordIsShown() throws {
        for text in ["postgresql://u:hidden@h/s", "mariadb://u:hidden@h/s"] {
            let location = try DatabaseLocation(text)
            #expect(!"\(location) \(String(reflecting: location))".contains("hidden"))
        }
    }
}
