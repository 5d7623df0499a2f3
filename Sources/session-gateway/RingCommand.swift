import ArgumentParser
import Configuration
import Glibc
import Sessions

/// Exit status 0: printed; 1: a configuration cannot be used; 64: what was asked for cannot be; 65: a line of standard
/// input is no key.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Show which servers have which keys, and what a change of the servers would move.",
        usage: """
            session-gateway ring --config <file> [--site <site>] [<options>] [--] [<key> …]
            session-gateway ring --servers <host:port:weight,…> [--ring <ring>] [<options>] [--] [<key> …]
            """,
        discussion: """
            Prints key,server,server… (CSV) for each key, in the order given, the server that comes first on the ring first.

            A key is what the ring hashes, byte by byte: a key as it stands in memcached. Of the gateway's own \
            sessions that is <prefix><site>:<hash>, as memcached's lru_crawler metadump lists them, and not the \
            session's id, which nobody should have to write on a command line. php-memcached hashes keys without its \
            prefix (of a session: the id), PHP's memcache extension with it.

            Without keys they are read from standard input, one per line; so they are for "-" alone. --stats and --compare \
            take \(Self.sampleSize) sample keys where none are given.
            """
    )

    /// Shares of a server in a hundred are then right to a tenth of their value.
    static let sampleSize = 100_000

    @Option(name: [.long, .short], help: "The configuration file.")
    var config: String?

    @Option(help: "The site in the configuration; not needed where only one has servers of its own.")
    var site: String?

    @Option(help: "Without a file: memcached servers, host:port:weight,… or a session.save_path of PHP.")
    var servers: String?

    @Option(
        help: ArgumentHelp(
            "How keys are spread: \(Self.list(RingKind.allCases)).",
            discussion: "The default is the file's, without a file the first that goes with --placement."
        )
    )
    var ring: String?

    @Option(
        help: ArgumentHelp(
            "Whose rule for the copies: \(Self.list(RingPlacement.allCases)).",
            discussion: """
                session-gateway, the default: the next distinct servers clockwise. memcache-session: PHP's memcache \
                extension as session handler; memcache: its other calls; php-memcached: libmemcached with replicas; \
                flexihash: lookupList.
                """
        )
    )
    var placement: String?

    @Option(
        help: ArgumentHelp(
            "How many servers to show of each key, 1 to \(ReplicaSet.capacity).",
            discussion: """
                The default is the replica set, 2 × redundancy − 1, where redundancy is the file's or 2; with another \
                --placement redundancy.
                """
        )
    )
    var copies: Int?

    @Flag(help: "Show how many keys, and how many copies of them, each server has.")
    var stats = false

    @Option(
        help: ArgumentHelp(
            "Show what would move with that configuration file.",
            discussion:
                "Of given keys those that move, as key,servers before,servers after; otherwise, and with --stats, how many."
        )
    )
    var compare: String?

    @Argument(help: "Keys; behind -- where one begins with -.")
    var keys: [String] = []

    func validate() throws {
        switch (self.config, self.servers) {
        case (nil, nil): throw ValidationError("Either --config or --servers is needed.")
        case (.some, .some): throw ValidationError("With --config, the servers stand in the file.")
        default: break
        }
        if self.site != nil, self.config == nil, self.compare == nil {
            throw ValidationError("--site is a site of a --config.")
        }
        if let copies = self.copies, !(1...ReplicaSet.capacity).contains(copies) {
            throw ValidationError("--copies is a number from 1 to \(ReplicaSet.capacity).")
        }
        _ = try self.ringKind()
        _ = try self.ringPlacement()
        try self.checkKeys()
    }

    func run() throws {
        var report: any RingReport
        do {
            report = try self.report()
        } catch let error as ValidationError {
            // Thrown on, it would be told with the usage of the whole program.
            StandardError.write([
                "Error: \(error.message)", "  See 'session-gateway ring --help' for more information.",
            ])
            throw ExitCode.validationFailure
        }
        var output = StandardOutput()
        try self.keySource.forEach(beforeWaiting: { try output.flush() }) { try report.add($0, to: &output) }
        try report.end(to: &output)
        try output.flush()
    }

    private func report() throws -> any RingReport {
        let source = RingSource(site: self.site, placement: try self.ringPlacement(), count: self.copies)
        let kind = try self.ringKind()
        let layout =
            if let config = self.config {
                try source.layout(file: config, kind: kind)
            } else {
                try source.layout(servers: self.servers ?? "", kind: kind)
            }
        if let compare = self.compare {
            let comparison = RingComparison(before: layout, after: try source.layout(comparedFile: compare))
            return RingComparisonReport(comparison, printsKeys: !self.keys.isEmpty && !self.stats)
        }
        return self.stats ? RingStatisticsReport(layout) : RingPlaceReport(layout)
    }

    private var keySource: KeySource {
        if self.keys == ["-"] { return .standardInput }
        if !self.keys.isEmpty { return .arguments(self.keys) }
        return self.stats || self.compare != nil ? .sample(Self.sampleSize) : .standardInput
    }

    // MARK: - Names

    private func ringKind() throws -> RingKind? {
        try self.ring.map { try Self.named($0, among: RingKind.allCases, "--ring") }
    }

    private func ringPlacement() throws -> RingPlacement {
        try self.placement.map { try Self.named($0, among: RingPlacement.allCases, "--placement") } ?? .sessionGateway
    }

    private static func named<Value: RawRepresentable<String>>(
        _ name: String,
        among values: [Value],
        _ option: String
    ) throws -> Value {
        if let value = Value(rawValue: name) { return value }
        let hint = EditDistance.nearest(to: name, among: values.map(\.rawValue)).map { "; did you mean \($0)?" }
        throw ValidationError("\(option): '\(name)' is none of \(Self.list(values))\(hint ?? ".")")
    }

    private static func list(_ values: [some RawRepresentable<String>]) -> String {
        values.map(\.rawValue).joined(separator: ", ")
    }

    /// - Throws: also where an argument is not UTF-8: Swift has put something else in its place, which is another key.
    private func checkKeys() throws {
        for index in 0..<Int(CommandLine.argc) {
            guard let argument = CommandLine.unsafeArgv[index], String(validatingCString: argument) == nil else {
                continue
            }
            throw ValidationError("Argument \(index) is not UTF-8; such keys are read from standard input.")
        }
        for (index, key) in self.keys.enumerated() {
            if key.isEmpty { throw ValidationError("Key \(index + 1) is empty; leave it out.") }
            if key.utf8.count > KeySource.longestKey {
                throw ValidationError("Key \(index + 1) is longer than \(KeySource.longestKey) bytes.")
            }
        }
    }
}
