package import Foundation

extension ChaosReport {
    package var text: String {
        var lines = [
            "\(self.subject), \(self.copies) copies, seed \(self.seed), \(Int(self.seconds)) s",
            String(format: "load average %.1f on %d processors", self.loadAverage, self.processors),
            "requests \(self.requests), sessions \(self.sessions), saved \(self.saved), discarded \(self.discarded), "
                + "unknown \(self.unknown), signed in \(self.signIns), signed out \(self.signOuts)",
            "faults: " + Self.list(self.faults.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }),
            "",
            Self.row(["", "requests", "errors", "p50 ms", "p99 ms", "max ms", "p99 after 1 s"]),
        ]
        for phase in self.phases {
            lines.append(
                Self.row([
                    phase.name, "\(phase.requests)", "\(phase.errors)", Self.figure(phase.p50), Self.figure(phase.p99),
                    Self.figure(phase.max), Self.figure(phase.p99AfterDetection),
                ])
            )
        }
        lines += [
            "",
            String(
                format: "a memcached was in use again after %.1f s at most, everything repaired after %.1f s",
                self.longestReturn,
                self.longestRepair
            ),
            "errors seen by visitors: " + Self.list(Blame.allCases.map { ($0.rawValue, self.errors[$0] ?? 0) }),
            "wronged sessions: " + Self.list(Wrong.allCases.map { ($0.rawValue, self.wrongs[$0] ?? 0) }),
        ]
        lines += self.examples + self.complaints
        lines.append(
            "lost updates \(self.wrongs[.lost] ?? 0), resurrected logouts \(self.wrongs[.resurrected] ?? 0), "
                + "stale overwrites \(self.wrongs[.overwritten] ?? 0), errors \(self.errors[.store] ?? 0)"
        )
        return lines.joined(separator: "\n")
    }

    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }

    private static func figure(_ value: Double?) -> String {
        value.map { String(format: "%.1f", $0) } ?? "-"
    }

    private static func list(_ entries: [(String, Int)]) -> String {
        entries.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }

    private static func row(_ cells: [String]) -> String {
        cells.enumerated().map { index, cell in
            let gap = String(repeating: " ", count: max((index == 0 ? 18 : 14) - cell.count, 0))
            return index == 0 ? cell + gap : gap + cell
        }.joined()
    }
}
