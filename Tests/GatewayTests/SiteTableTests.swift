import CGI
import Configuration
import Testing

@testable import Gateway

struct SiteTableTests {
    private func table(_ sites: [(name: String, match: [String])]) -> SiteTable {
        SiteTable(
            sites.map { name, match in
                var site = GatewayConfiguration.Site()
                site.name = name
                site.match = match
                return site
            }
        )
    }

    private func parameters(_ pairs: KeyValuePairs<String, String>) -> Parameters {
        var parameters = Parameters()
        for (name, value) in pairs {
            parameters.append(name, value)
        }
        return parameters
    }

    @Test func theNameFromTheWebServerBeatsTheHostAndTheHostBeatsTheDefault() {
        let table = self.table([("default", []), ("shop", ["shop.example.com"]), ("blog", ["*.example.com"])])
        #expect(table.site(of: self.parameters(["SESSION_SITE": "blog", "SERVER_NAME": "shop.example.com"])) == 2)
        #expect(table.site(of: self.parameters(["SERVER_NAME": "SHOP.example.com"])) == 1)
        #expect(table.site(of: self.parameters(["SERVER_NAME": "news.example.com"])) == 2)
        #expect(table.site(of: self.parameters(["SERVER_NAME": "example.com"])) == 0)
        #expect(table.site(of: self.parameters([:])) == 0)
    }

    @Test func aRequestThatMatchesNoSiteHasNone() {
        let table = self.table([("shop", ["shop.example.com"])])
        #expect(table.site(of: self.parameters(["SESSION_SITE": "other"])) == nil)
        #expect(table.site(of: self.parameters(["SERVER_NAME": "other.example.com"])) == nil)
        #expect(table.site(of: self.parameters([:])) == nil)
    }

    @Test func theLongestSuffixCounts() {
        let table = self.table([("all", ["*.example.com"]), ("some", ["*.shop.example.com"])])
        #expect(table.site(of: self.parameters(["SERVER_NAME": "a.shop.example.com"])) == 1)
        #expect(table.site(of: self.parameters(["SERVER_NAME": "a.example.com"])) == 0)
    }
}

struct LogTextTests {
    @Test func controlCharactersAreEscapedAndTheLengthIsBounded() {
        #expect(LogText.escaped("a\nb\u{1b}c\u{2028}d") == "a\\u{a}b\\u{1b}c\\u{2028}d")
        #expect(LogText.escaped(String(repeating: "x", count: 5_000)).count == LogText.maximumLength + 1)
    }
}

struct PathPatternTests {
    @Test func itMatchesAnywhereInAPath() throws {
        let pattern = try #require(PathPattern(#"\.(css|js)$"#))
        #expect(pattern.matches("/a/b.css"))
        #expect(!pattern.matches("/a/b.css/c"))
        #expect(PathPattern("(") == nil)
    }
}
