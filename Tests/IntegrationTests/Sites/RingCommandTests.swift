import Foundation
import GatewayTesting
import Testing

/// `session-gateway ring` as its users run it.
struct RingCommandTests {
    private struct Server: Decodable {
        let host: String
        let port: Int
        let weight: Int
    }

    private static let servers = "127.0.0.1:22101,127.0.0.1:22102:2,127.0.0.1:22103:3"

    // MARK: Places

    /// Keys on standard input, and the recorded rows as output: the quotes too are those of the recording.
    @Test(arguments: [
        ("libmemcached-ketama-weighted", ["--placement", "php-memcached"]),
        ("libmemcached-ketama", ["--ring", "ketama", "--placement", "php-memcached"]),
        ("pecl-memcache-crc32", ["--placement", "memcache"]),
        ("pecl-memcache-fnv", ["--ring", "pecl_fnv", "--placement", "memcache"]),
        ("pecl-memcache-crc32-session", ["--ring", "pecl_crc32", "--placement", "memcache-session"]),
        ("pecl-memcache-fnv-session", ["--ring", "pecl_fnv", "--placement", "memcache-session"]),
        ("flexihash", ["--placement", "flexihash"]),
        ("flexihash", ["--ring", "flexihash"]),
    ]) func theRecordedKeysAreWhereTheOriginalPutsThem(file: String, options: [String]) async throws {
        let folder = URL(filePath: #filePath).appending(path: "../../../SessionsTests/Vectors").standardized
        let lists = try JSONDecoder().decode(
            [String: [Server]].self,
            from: Data(contentsOf: folder.appending(path: "lists.json"))
        )
        let rows = try String(contentsOf: folder.appending(path: "\(file).csv"), encoding: .utf8)
        for (list, servers) in lists where !list.hasPrefix("names-") || file == "flexihash" {
            let expected = rows.split(separator: "\n").filter { $0.hasPrefix("\(list),") }.map { row in
                var row = row.dropFirst(list.count + 1)
                while row.hasSuffix(",") { row.removeLast() }
                return row
            }
            let keys = expected.map { row in
                row.hasPrefix("\"") ? row.dropFirst().prefix { $0 != "\"" } : row.prefix { $0 != "," }
            }
            let text = servers.map { "\($0.host):\($0.port):\($0.weight)" }.joined(separator: ",")
            let result = try await Self.run(
                ["--servers", text, "--copies", "3"] + options,
                input: keys.joined(separator: "\n") + "\n"
            )
            #expect(result.exit == .status(0) && result.errors == "")
            #expect(!expected.isEmpty && result.lines == expected, "list \(list)")
        }
    }

    @Test func keysAreGivenAsArgumentsOrAsLinesAndQuotedWhereCSVWantsIt() async throws {
        let arguments = try await Self.run(
            ["--servers", Self.servers, "--copies", "1", "--", "b,c", "a\"b", "x\ny", "-k", "plain"]
        )
        let place = /127\.0\.0\.1:2210[123]/
        #expect(
            arguments.output.replacing(place, with: "P")
                == "\"b,c\",P\n\"a\"\"b\",P\n\"x\ny\",P\n-k,P\nplain,P\n"
        )
        // Lines as Unix and as Windows end them, the last without an end; "-" is standard input as well.
        for keys in [[], ["-"]] {
            let lines = try await Self.run(
                ["--servers", Self.servers, "--copies", "1"] + keys,
                input: "b,c\r\na\"b\n-k\nplain"
            )
            #expect(lines.lines.count == 4)
            #expect(arguments.output.hasPrefix(lines.lines[0] + "\n"))
            #expect(arguments.output.hasSuffix("\n\(lines.lines[3])\n"))
        }
    }

    @Test func withAFileItIsTheSitesRing() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("gateway.yaml", Self.configuration("shop"))
        let key = "sg:shop:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
        let site = try await Self.run(["--config", file, "--site", "shop", key])
        let alone = try await Self.run(["--config", file, key])
        let servers = "10.0.0.1:11211,10.0.0.2:11211:2,10.0.0.3:11211,10.0.0.4:11211"
        let same = try await Self.run(["--servers", servers, key])
        // Two copies lie on the first three servers.
        #expect(site.lines.count == 1 && site.output.split(separator: ",").count == 4)
        #expect(site.output == alone.output && site.output == same.output)
        // The site that shares the other's sessions has its ring too.
        #expect(try await Self.run(["--config", file, "--site", "scripts", key]).output == site.output)
        let original = try await Self.run(
            ["--config", file, "--ring", "pecl_crc32", "--placement", "memcache-session", key]
        )
        #expect(original.output.split(separator: ",").count == 3)
    }

    // MARK: Shares and moves

    @Test func sharesAreOfSampleKeysOrOfThoseGiven() async throws {
        let sample = try await Self.run(["--servers", Self.servers, "--copies", "2", "--stats"])
        #expect(sample.lines.first == "server,weight,first,first_share,copies,copies_share")
        let rows = sample.lines.dropFirst().map { $0.split(separator: ",") }
        #expect(rows.map { $0[0] } == ["127.0.0.1:22101", "127.0.0.1:22102", "127.0.0.1:22103"])
        #expect(rows.map { $0[1] } == ["1", "2", "3"])
        #expect(rows.reduce(0) { $0 + (Int($1[2]) ?? 0) } == 100_000)
        #expect(rows.reduce(0) { $0 + (Int($1[4]) ?? 0) } == 200_000)

        let given = try await Self.run(
            ["--servers", Self.servers, "--copies", "1", "--stats", "-"],
            input: (1...500).map { "key \($0)\n" }.joined()
        )
        #expect(given.lines.dropFirst().reduce(0) { $0 + (Int($1.split(separator: ",")[2]) ?? 0) } == 500)
        #expect(try await Self.run(["--servers", "a:1", "--stats", "k"]).lines.last == "a:1,1,1,100.00%,1,100.00%")
    }

    @Test func aComparisonSaysHowMuchMovesAndWhichKeys() async throws {
        let directory = try TemporaryDirectory()
        let before = try directory.write("before.yaml", Self.configuration("shop"))
        let after = try directory.write(
            "after.yaml",
            Self.configuration("shop").replacing("10.0.0.4:11211", with: "10.0.0.5:11211")
        )
        let nothing = try await Self.run(["--config", before, "--site", "shop", "--compare", before])
        #expect(
            nothing.lines == [
                "what,keys,share", "all,100000,100.00%", "moved,0,0.00%", "first,0,0.00%", "copied,0,0.00%",
            ]
        )
        let change = try await Self.run(["--config", before, "--compare", after, "--copies", "1"])
        let counts = Dictionary(
            uniqueKeysWithValues: change.lines.dropFirst().map { line in
                let fields = line.split(separator: ",")
                return (String(fields[0]), Int(fields[1]) ?? -1)
            }
        )
        #expect(counts["moved"] == counts["first"] && counts["moved"] == counts["copied"])
        // The new server is at other points of the ring than the old one, and takes from all; the old one loses all.
        let gained = counts.filter { $0.key.hasPrefix("gains") }.values.reduce(0, +)
        let lost = counts.filter { $0.key.hasPrefix("loses") }.values.reduce(0, +)
        #expect(gained == counts["moved"] && lost == counts["moved"])
        #expect(counts["gains 10.0.0.5:11211"] ?? 0 > 10_000 && counts["loses 10.0.0.4:11211"] ?? 0 > 10_000)

        let keys = (1...200).map { "key-\($0)" }
        let places = try await [before, after].asyncMap { file in
            try await Self.run(["--config", file] + keys).lines
        }
        let moves = try await Self.run(["--config", before, "--compare", after] + keys)
        let expected = keys.indices.filter { places[0][$0] != places[1][$0] }.map { index in
            let fields = places.map { $0[index].split(separator: ",").dropFirst().joined(separator: " ") }
            return "\(keys[index]),\(fields[0]),\(fields[1])"
        }
        #expect(!expected.isEmpty && moves.lines.map(String.init) == expected)
        let counted = try await Self.run(["--config", before, "--compare", after, "--stats"] + keys)
        #expect(counted.lines[2].hasPrefix("moved,\(expected.count),"))
    }

    // MARK: Mistakes

    @Test(arguments: [
        (["--servers", "a:1", "--ring", "ketama_weigthed", "k"], "did you mean ketama_weighted?"),
        (["--servers", "a:1", "--placement", "memcached", "k"], "did you mean memcache?"),
        (["--servers", "a:1,b:x", "k"], "server 2, \"b:x\": the port is no number"),
        (["--servers", "a:1:0", "k"], "weight"),
        (["--servers", "a:1", "--copies", "17", "k"], "from 1 to 16"),
        (["--servers", "a:1", "--copies", "0", "k"], "from 1 to 16"),
        (["--servers", "a:1", "--ring", "ketama", "--placement", "flexihash", "k"], "say --ring flexihash"),
        (["--servers", "a:1", "--site", "shop", "k"], "--site is a site of a --config"),
        (["--servers", "a:1", "--config", "f", "k"], "the servers stand in the file"),
        (["k"], "Either --config or --servers"),
        (["--servers", "a:1", ""], "Key 1 is empty"),
    ]) func whatCannotBeIsRefusedWithTheRemedy(arguments: [String], reason: String) async throws {
        let result = try await Self.run(arguments)
        #expect(result.exit == .status(64))
        #expect(result.errors.contains(reason), "\(result.errors)")
        #expect(result.output == "")
    }

    @Test func aFileThatCannotBeUsedIsTold() async throws {
        let directory = try TemporaryDirectory()
        let good = try directory.write("good.yaml", Self.configuration("shop", "news"))
        let bad = try directory.write("bad.yaml", "sites:\n  shop:\n    redundancy: 99\n")
        let unused = try await Self.run(["--config", bad, "k"])
        #expect(unused.exit == .status(1) && unused.errors.contains("bad.yaml:3:"))
        #expect(try await Self.run(["--config", "/nowhere.yaml", "k"]).exit == .status(1))
        let several = try await Self.run(["--config", good, "k"])
        #expect(several.exit == .status(64) && several.errors.contains("--site is one of shop, scripts, news"))
        let unknown = try await Self.run(["--config", good, "--site", "shpo", "k"])
        #expect(unknown.exit == .status(64) && unknown.errors.contains("did you mean 'shop'?"))
        let compared = try await Self.run(["--config", good, "--site", "shop", "--compare", bad])
        #expect(compared.exit == .status(1) && compared.errors.contains("bad.yaml:3:"))
    }

    @Test func aLineThatIsNoKeyIsNamed() async throws {
        let empty = try await Self.run(["--servers", "a:1"], input: "one\n\nthree\n")
        #expect(empty.exit == .status(65))
        #expect(empty.errors.contains("standard input, line 2: the key is empty"))
        let long = try await Self.run(
            ["--servers", "a:1"],
            input: "one\n" + String(repeating: "k", count: 200_000) + "\n"
        )
        #expect(long.exit == .status(65))
        #expect(long.errors.contains("standard input, line 2: the key is longer than"))
    }

    @Test func aReaderThatGoesAwayEndsIt() async throws {
        let directory = try TemporaryDirectory()
        let process = try ServerProcess(
            "/bin/bash",
            [
                "-c", "yes | \"$0\" ring --servers a:1,b:1 | head -1 >first; echo \"${PIPESTATUS[1]}\"",
                try Executable.built("session-gateway"),
            ],
            directory: directory.path,
            output: directory.path("status")
        )
        #expect(try await process.waitForEnd() == .status(0))
        #expect(process.output == "0\n")
        #expect(directory.read("first").hasPrefix("y,"))
        let full = try await Self.run(["--servers", "a:1", "k"], output: "/dev/full")
        #expect(full.exit == .status(74) && full.errors.contains("No space left on device"))
    }

    // MARK: -

    private static func configuration(_ names: String...) -> String {
        let sites = names.enumerated().map { index, name in
            """
              \(name):
                match: [\(name).example.com]
                servers: [10.0.0.1:11211, {address: "10.0.0.2:11211", weight: 2}, 10.0.0.3:11211, 10.0.0.4:11211]
                redundancy: 2
                backend: {cgi: /tmp}
            \(index == 0 ? "  scripts: {sessions_of: \(name), match: [scripts.example.com], backend: {cgi: /tmp}}\n" : "")
            """
        }
        return "listen: unix:/tmp/unused.sock\nstate_directory: /tmp\nsites:\n" + sites.joined(separator: "\n")
    }

    private static func run(_ arguments: [String], input: String = "", output: String = "output") async throws
        -> ProgramRun
    {
        try await ProgramRun(["ring"] + arguments, input: input, output: output)
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async throws -> [Value] {
        var values = [Value]()
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
