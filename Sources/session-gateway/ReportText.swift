import Memcached
import Store

/// What an operator sees of a report: a line for each server, and one about all sessions.
enum ReportText {
    static func lines(_ report: VerificationReport) -> [String] {
        self.table(
            [["server", "state", "copies", "missing", "older", "corrupt", "leftover", "misplaced"]]
                + report.servers.map { server in
                    ["\(server.address)", server.condition.rawValue]
                        + [
                            server.present, server.missing, server.older, server.corrupt, server.leftover,
                            server.misplaced,
                        ].map { "\($0)" }
                }
        ) + ["verified \(Self.sessions(report))"]
    }

    static func lines(_ report: RepairReport, seconds: Double) -> [String] {
        let noun = report.sessions == 1 ? "session" : "sessions"
        let failed = report.failed > 0 ? ", \(report.failed) not repaired" : ""
        let unreadable = report.unreadable > 0 ? ", \(report.unreadable) unreadable" : ""
        let time = "in \(Int(seconds.rounded())) s"
        return self.table(
            [["server", "state"]] + report.servers.map { ["\($0.address)", $0.condition.rawValue] }
        ) + [
            "repaired \(report.sessions) \(noun): \(report.inOrder) were in order, \(report.repaired) written anew"
                + "\(failed)\(unreadable), \(time)"
        ]
    }

    /// `12 sessions: 10 complete, 2 with fewer than 2 copies`; what there is none of is left out.
    private static func sessions(_ report: VerificationReport) -> String {
        let parts = [
            (report.short, "with fewer than \(report.redundancy) copies"),
            (report.halfWritten, "half-written"),
            (report.unreadable, "unreadable"),
            (report.corruptBeside, "with a corrupt value beside the copies"),
            (report.degraded, "written degraded"),
            (report.otherRing, "placed for other servers"),
            (report.unreachable, "on no server where they belong"),
            (report.undecided, "undecided, as a server did not answer"),
            (report.changing, "in use throughout"),
        ].filter { $0.0 > 0 }.map { ", \($0.0) \($0.1)" }.joined()
        let destroyed = report.destroyed > 0 ? " (\(report.destroyed) of them destroyed)" : ""
        let noun = report.sessions == 1 ? "session" : "sessions"
        return "\(report.sessions) \(noun)\(destroyed): \(report.complete) complete\(parts)"
    }

    /// Names to the left, numbers to the right.
    private static func table(_ rows: [[String]]) -> [String] {
        let columns = rows.first?.indices ?? 0..<0
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            columns.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                let isLast = column == columns.upperBound - 1
                return column < 2 ? row[column] + (isLast ? "" : padding) : padding + row[column]
            }.joined(separator: "  ")
        }
    }
}
