import Testing

@testable import Configuration

@Suite struct YAMLScreenTests {
    @Test(arguments: [
        ("a: &x 1", 1, 4), ("a: *x", 1, 4), ("- *x", 1, 3), ("[*x]", 1, 2), ("{a: *x}", 1, 5), ("a: [b, *x]", 1, 8),
        ("? *x\n: 1", 1, 3), ("*x : 1", 1, 1), ("--- &x a", 1, 5), ("a: !!str b", 1, 4), ("a: |\n  b", 1, 4),
        ("a: >-\n  b", 1, 4), ("\"a\":*x", 1, 5), ("{\"a\":*x}", 1, 6), ("# c\n\n  b: &x", 3, 6),
        ("a: 'it''s' # \"\nb: &x 1", 2, 4), ("a: \"\\\"\"\nb: &x", 2, 4), ("a: b 'c\nd: &x", 2, 4),
        ("a: b\n  'c\nd: &x", 2, 3), ("{a: b\n'c': 1}", 2, 1), ("ä: &x", 1, 4), ("a: {b: c} # 'x\nd: &x", 2, 4),
        ("a: b\n# c\n  'd", 3, 3), ("a:\r&x b", 2, 1), ("a: \"b\u{85}\"", 1, 6), ("a: 1\u{2028}&x b", 1, 5),
        ("a: 1 #\u{1}", 1, 7), ("a: \u{feff}&x", 1, 4), ("a: [\"b\\\n c\", *x]", 2, 6),
    ])
    func anchorsAliasesTagsAndTheLikeAreRefusedWhereTheyStand(text: String, line: Int, column: Int) {
        #expect(YAMLScreen.problem(in: text)?.origin == .position(line: line, column: column))
    }

    @Test(arguments: [
        "a: \"*x\"", "a: '&x'", "a: b & c * d", "a: b&c", "a: b # *x", "# &x\n", "a: 'x\n  *y'", "a: x!y|z>",
        "ignore: '\\.(css|js)$'", "a: [b, \"*\", '&']", "a: \"\\\\\"\nb: '\\'", "a-b: -1", "a: http://x/*y",
        "--- \na: 1\n...\n", "a: 'it''s *'", "{a: b, c: [d, {e: f}]}", "a: \"b\\\n  *c\"", "a: x\n\"b\": 1",
    ])
    func ordinaryTextPasses(text: String) {
        #expect(YAMLScreen.problem(in: text) == nil)
    }

    @Test func aFewLinesThatStandForBillionsAreRefused() {
        var text = "a0: &a0 [x, x]\n"
        for i in 1..<64 {
            text += "a\(i): &a\(i) [*a\(i - 1), *a\(i - 1)]\n"
        }
        text += "? *a63\n: 1\n"
        #expect(
            ConfigurationFileTests.messages(text) == ["g.yaml:1:5: error: anchors (&) are not supported"]
        )
    }

    @Test func deepNestingIsRefused() {
        let brackets = String(repeating: "[", count: 100_000)
        #expect(ConfigurationFileTests.messages("a: " + brackets) == ["g.yaml:1:21: error: nested too deeply"])
        let dashes = String(repeating: "- ", count: 900) + "x\n"
        #expect(ConfigurationFileTests.messages(dashes).contains { $0.hasSuffix("nested too deeply") })
        let more = String(repeating: "- ", count: 200_000) + "x\n"
        #expect(ConfigurationFileTests.messages(more).count == 1)
    }

    @Test func anUnquotedWildcardIsExplained() {
        #expect(
            ConfigurationFileTests.messages(ConfigurationFileTests.site("match: [*.example.com]"))
                == [
                    """
                    g.yaml:4:13: error: a text that starts with * must be quoted, as in "*.example.com" (aliases are \
                    not supported)
                    """
                ]
        )
    }

    @Test func randomTextNeverTraps() {
        let alphabet = Array("ab:-?[]{},'\"#&*!|>%@ \n\t\\\r\u{85}ä0~".unicodeScalars)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...60, using: &generator) {
                text.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
            }
            let result = ConfigurationFile.parse(String(text), name: "g.yaml")
            #expect(result.configuration == nil)
            #expect(!result.diagnostics.isEmpty)
        }
    }

    /// Whatever the text, there is either a configuration or an error that says why not.
    @Test func mutatedFilesNeverTrap() {
        let original = Array(
            ConfigurationFileTests.site("servers: [\"a:1\"]\ncookie: {name: x}\nmatch: [a, \"*.b\"]").utf8
        )
        let inserts = [
            "\"\\ud800\"", "? ", "<<: ", "\u{0}", "-1", "[[", "}", "\r", "%", "!!int ", "'", "\"\\x00\"", "match: 1\n",
        ]
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes.remove(at: place)
                case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                default: bytes.insert(contentsOf: inserts.randomElement(using: &generator)!.utf8, at: place)
                }
            }
            let result = ConfigurationFile.parse(String(decoding: bytes, as: UTF8.self), name: "g.yaml")
            #expect((result.configuration == nil) == result.diagnostics.contains { $0.severity == .error })
        }
    }
}
