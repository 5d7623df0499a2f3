import Testing

@testable import Configuration

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct ConfigurationKeysTests {
    @Test func whatCheckPrintsReadsBackToTheSameConfiguration() throws {
        let text = """
            listen: [127.0.0.1:9010, {address: "10.0.0.1:9010", allowed_clients: ["::1", 10.0.0.0/8]}, /g.sock]
            threads: 2
            sites:
              a.b:
                match: ["*.example.com", example.com]
                servers: ["[::1]:11211", {address: "unix:/run/m.sock", weight: 7}, "c:1"]
                ignore: "[*?\\"'#: ]|\\\\.css$|\\u0001"
                prefix: "&*!:"
                cookie: {name: "'x'", lifetime: 90m}
                idle_lifetime: 100ms
                backend: {cgi: /cgi-bin, environment: {A: "null", B: "", C: "true # x", D: "ü\\u2028\\n"}, pass: [X, Y]}
              second:
                servers: "tcp://a:1?weight=2, tcp://b:1"
                redundancy: 1
                backend: {fastcgi: ["unix:/php sock", "[::1]:9000"], root: /}
            """.replacing("idle_lifetime: 100ms", with: "idle_lifetime: 61s")
        let configuration = try ConfigurationFile.parse(text, name: "g.yaml").get()
        let again = ConfigurationFile.parse(configuration.yaml, name: "again.yaml")
        #expect(again.diagnostics.filter { $0.severity == .error }.isEmpty)
        #expect(again.configuration == configuration)
        #expect(configuration.yaml.contains("operation_timeout: 100ms"))
        #expect(configuration.yaml.contains("# secret: not set"))
    }

    @Test func everyKeyIsDescribedOnce() {
        for section in ConfigurationKeys.sections {
            #expect(Set(section.keys.map(\.name)).count == section.keys.count)
            for key in section.keys {
                #expect(!key.sentence.isEmpty && key.sentence.hasSuffix("."))
                #expect(!key.fallback.isEmpty && key.fallback != "unset" && key.fallback != "[]")
                #expect(!key.type.isEmpty)
            }
        }
    }

    @Test func theReferenceInTheDocsIsUpToDate() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let committed = try String(contentsOf: root.appending(path: "docs/configuration.md"), encoding: .utf8)
        // If this fails: session-gateway check --reference > docs/configuration.md
        #expect(committed == ConfigurationReference.markdown)
    }

    @Test func theExamplesAreValid() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let result = ConfigurationFile.load(path: root.appending(path: "nginx/gateway.yaml").path)
        #expect(result.diagnostics.map(\.description) == [])
        let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        let examples = readme.components(separatedBy: "```yaml\n").dropFirst().map {
            $0.components(separatedBy: "```")[0]
        }
        #expect(!examples.isEmpty)
        for example in examples {
            #expect(ConfigurationFile.parse(example, name: "README.md").diagnostics.map(\.description) == [])
        }
    }

    @Test(arguments: [
        ("redundency", "redundancy"), ("Redundancy", "redundancy"), ("load-timeout", "load_timeout"),
        ("loadtimeout", "load_timeout"), ("servres", "servers"), ("server", "servers"), ("qeue_length", "queue_length"),
        ("zzz", nil), ("", nil),
    ])
    func theNearestKeyIsNamedIfItIsNear(word: String, expected: String?) {
        let keys = ["redundancy", "load_timeout", "servers", "queue_length", "ring"]
        #expect(EditDistance.nearest(to: word, among: keys) == expected)
    }

    @Test(arguments: [
        ("250ms", Duration.milliseconds(250), "250ms"), ("1500ms", .milliseconds(1_500), "1500ms"),
        ("10s", .seconds(10), "10s"), ("1440s", .seconds(1_440), "1440s"), ("90m", .seconds(5_400), "90m"),
        ("60m", .seconds(3_600), "1h"), ("24h", .seconds(86_400), "24h"), ("7d", .seconds(604_800), "7d"),
        ("1440", .seconds(1_440), "1440s"), ("0", .zero, "0s"),
    ])
    func durationsAreReadAndShown(text: String, duration: Duration, shown: String) {
        #expect(DurationText.parse(text) == duration)
        #expect(DurationText.render(duration) == shown)
        #expect(DurationText.parse(shown) == duration)
    }

    @Test(arguments: ["", "s", "1.5s", "1 s", "+1s", "-1s", "1S", "1w", "1sm", "99999999999999999999s", "٣s"])
    func otherTextIsNoDuration(text: String) {
        #expect(DurationText.parse(text) == nil)
    }
}
