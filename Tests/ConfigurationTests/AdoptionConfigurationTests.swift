import Testing

@testable import Configuration

@Suite struct AdoptionConfigurationTests {
    private func messages(_ adopt: String, cookie: String = "{name: PHPSESSID}") -> [String] {
        let text = """
            sites:
              a:
                backend: {fastcgi: "b:1"}
                cookie: \(cookie)
                adopt: \(adopt)
            """
        return ConfigurationFile.parse(text, name: "g.yaml").diagnostics.map { "\($0.severity): \($0.message)" }
    }

    @Test(arguments: [
        "{files: /var/lib/php/sessions, until: 2037-01-01}",
        "{memcache: \"tcp://a:1?weight=2, tcp://b:1\", until: 2037-01-01}",
        "{memcached: [\"a:1\", \"b:1\"], until: 2037-01-01, ring: ketama_weighted, redundancy: 2}",
        "{redis: \"tcp://a?auth=x&database=2\", until: 2037-01-01, prefix: \"p:\"}",
        "{files: \"2;0660;/s\", until: 2037-01-01, owner: www-data, lifetime: 1h}",
    ])
    func everyStoreCanBeNamed(adopt: String) {
        #expect(self.messages(adopt) == [])
    }

    @Test(arguments: [
        ("{files: /s}", #"error: adopt: the key "until" is missing"#),
        ("{until: 2037-01-01}", "error: adopt: needs exactly one of memcache, memcached, files and redis"),
        (
            "{files: /s, redis: \"tcp://a\", until: 2037-01-01}",
            "error: adopt: needs exactly one of memcache, memcached, files and redis"
        ),
        (
            "{files: s, until: 2037-01-01}",
            #"error: files: "s" is not a session.save_path as /directory or 2;/directory"#
        ),
        ("{files: /s, until: 2037-02-29}", #"error: until: "2037-02-29" is not a date such as 2026-12-31"#),
        ("{files: /s, until: 31.12.2036}", #"error: until: "31.12.2036" is not a date such as 2026-12-31"#),
        (
            "{redis: \"tls://a?auth=verysecret\", until: 2037-01-01}",
            "error: redis: each server begins with tcp:// or unix:/; TLS and clusters are not supported"
        ),
        (
            "{memcache: [\"a:1\"], until: 2037-01-01, ring: ketama}",
            "error: ring: memcache has pecl_crc32 and pecl_fnv, not ketama"
        ),
        (
            "{memcached: [\"a:1\"], until: 2037-01-01, ring: pecl_fnv}",
            "error: ring: memcached has ketama and ketama_weighted, not pecl_fnv"
        ),
        ("{files: /s, until: 2020-01-01}", "warning: until: is over: nothing is taken over any more"),
        ("{files: /s, until: 2037-01-01, ring: ketama}", "warning: ring: has no effect with files"),
        ("{redis: \"tcp://a\", until: 2037-01-01, lifetime: 1h}", "warning: lifetime: has no effect with redis"),
    ])
    func whatCannotBeMeantIsSaid(adopt: String, message: String) {
        #expect(self.messages(adopt) == [message])
    }

    @Test func theCookieMustBeTheApplications() {
        let files = "{files: /s, until: 2037-01-01}"
        #expect(
            self.messages(files, cookie: "{path: /}") == [
                "error: adopt: needs the application's cookie, for example cookie: {name: PHPSESSID}"
            ]
        )
    }

    @Test(
        arguments: [
            ("2000-01-01", 946_771_200_000), ("2026-12-31", 1_798_761_600_000), ("2028-02-29", 1_835_481_600_000),
            ("2037-12-31", 2_145_916_800_000),
        ] as [(String, UInt64)]
    )
    func aDayEndsAtMidnightUTC(text: String, milliseconds: UInt64) {
        #expect(GatewayConfiguration.AdoptionEnd(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-1-1", "2026-13-01", "2026-00-01", "2026-01-00", "1999-12-31", "2038-01-01", "2026-02-30",
    ])
    func otherTextIsNoDay(text: String) {
        #expect(GatewayConfiguration.AdoptionEnd(text) == nil)
    }

    @Test(arguments: [
        ("/s", 0, "/s"), ("2;/s/", 2, "/s"), ("1;0640;/a;b", 1, "/a;b"), ("0;/", 0, "/"),
    ])
    func aSavePathOfFilesIsReadAsPHPDoes(text: String, depth: Int, directory: String) throws {
        let files = try #require(GatewayConfiguration.SessionFiles(text))
        #expect(files.depth == depth)
        #expect(files.directory == directory)
    }

    @Test(arguments: ["", "s", "x;/s", "-1;/s", "99;/s", "2;9;/s", "2;0600;s"])
    func otherTextIsNoSavePathOfFiles(text: String) {
        #expect(GatewayConfiguration.SessionFiles(text) == nil)
    }

    @Test func aSavePathOfRedisIsReadAsPHPDoes() throws {
        let redis = try GatewayConfiguration.RedisServers(
            "tcp://a:1?weight=2&timeout=2.5&database=3&prefix=my%20p:, unix:///r.sock?auth[]=me&auth[]=p%26w tcp://[::1]"
        )
        #expect(
            redis.servers == [
                .init(address: .tcp(host: "a", port: 1), weight: 2, database: 3, prefix: "my p:"),
                .init(address: .unix(path: "/r.sock"), user: "me", password: "p&w"),
                .init(address: .tcp(host: "::1", port: 6_379)),
            ]
        )
        #expect("\(redis)" == "redacted")
        #expect(try GatewayConfiguration.RedisServers("tcp://a?auth=x").servers[0].password == "x")
    }

    @Test(arguments: ["", "a:1", "tcp://", "tcp://a?weight=0", "tcp://a?database=x", "tcp://a?auth=%00", "unix:r.sock"])
    func otherTextIsNoSavePathOfRedis(text: String) {
        #expect(throws: GatewayConfiguration.RedisServers.Problem.self) { try GatewayConfiguration.RedisServers(text) }
    }
}
