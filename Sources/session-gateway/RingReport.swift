import Sessions

/// What the command prints about its keys: while they come, or at their end.
protocol RingReport {
    mutating func add(_ key: UnsafeRawBufferPointer, to output: inout StandardOutput) throws
    mutating func end(to output: inout StandardOutput) throws
}

/// `key,server,server…`
struct RingPlaceReport: RingReport {
    private let layout: RingLayout
    private let names: [String]

    init(_ layout: RingLayout) {
        self.layout = layout
        self.names = layout.ring.servers.map(\.address)
    }

    func add(_ key: UnsafeRawBufferPointer, to output: inout StandardOutput) throws {
        output.field(key)
        for server in self.layout.servers(of: key) { output.field(self.names[server]) }
        try output.endLine()
    }

    func end(to output: inout StandardOutput) {}
}

/// A line for each server: the keys whose first copy it has with their share of all keys, and the copies that it has with
/// their share of all copies.
struct RingStatisticsReport: RingReport {
    private let layout: RingLayout
    private var statistics: RingStatistics

    init(_ layout: RingLayout) {
        self.layout = layout
        self.statistics = RingStatistics(serverCount: layout.ring.servers.count)
    }

    mutating func add(_ key: UnsafeRawBufferPointer, to output: inout StandardOutput) {
        self.statistics.add(self.layout.servers(of: key))
    }

    func end(to output: inout StandardOutput) throws {
        for name in ["server", "weight", "first", "first_share", "copies", "copies_share"] { output.field(name) }
        try output.endLine()
        for (server, counts) in zip(self.layout.ring.servers, self.statistics.servers) {
            output.field(server.address)
            output.field("\(server.weight)")
            output.field("\(counts.first)")
            output.field(percentage(counts.first, of: self.statistics.keys))
            output.field("\(counts.copies)")
            output.field(percentage(counts.copies, of: self.statistics.copies))
            try output.endLine()
        }
    }
}

/// Either the keys that move, or how many.
struct RingComparisonReport: RingReport {
    private var comparison: RingComparison
    private let printsKeys: Bool

    init(_ comparison: RingComparison, printsKeys: Bool) {
        self.comparison = comparison
        self.printsKeys = printsKeys
    }

    mutating func add(_ key: UnsafeRawBufferPointer, to output: inout StandardOutput) throws {
        guard let move = self.comparison.add(key), self.printsKeys else { return }
        output.field(key)
        for servers in [move.before, move.after] {
            output.field(servers.map { self.comparison.servers[$0].address }.joined(separator: " "))
        }
        try output.endLine()
    }

    func end(to output: inout StandardOutput) throws {
        guard !self.printsKeys else { return }
        for name in ["what", "keys", "share"] { output.field(name) }
        try output.endLine()
        try self.line("all", self.comparison.keys, to: &output)
        try self.line("moved", self.comparison.moved, to: &output)
        try self.line("first", self.comparison.first, to: &output)
        try self.line("copied", self.comparison.copied, to: &output)
        for server in self.comparison.servers {
            if server.gains > 0 { try self.line("gains \(server.address)", server.gains, to: &output) }
            if server.loses > 0 { try self.line("loses \(server.address)", server.loses, to: &output) }
        }
    }

    private func line(_ what: String, _ count: Int, to output: inout StandardOutput) throws {
        output.field(what)
        output.field("\(count)")
        output.field(percentage(count, of: self.comparison.keys))
        try output.endLine()
    }
}

/// With two decimals, rounded: `33.33%`.
private func percentage(_ part: Int, of whole: Int) -> String {
    guard whole > 0 else { return "0.00%" }
    let hundredths = (part * 10_000 + whole / 2) / whole
    let decimals = "\(hundredths % 100)"
    return "\(hundredths / 100).\(decimals.utf8.count < 2 ? "0" : "")\(decimals)%"
}
