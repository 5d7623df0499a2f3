import Database
import Glibc
import Sessions
import Synchronization

/// One JSON line for each session that has ended: how long it lived, and no more. No id, no key, no data.
package final class SessionLog: Sendable {
    private let descriptor: Int32

    /// Appends to a file, which only this user and group can read; made by root it belongs to whom its directory does.
    /// - Returns: nil where it cannot be opened; `errno` says why.
    package init?(path: String) {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = SharedFile.open(path, O_WRONLY | O_APPEND, mode: 0o640, ownedAs: directory)
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
    }

    deinit { close(self.descriptor) }

    /// One write of less than a page: lines of several gateways do not mix.
    func ended(_ row: DueRow, site: String) {
        let line = Self.line(row, site: site) + "\n"
        _ = Array(line.utf8).withUnsafeBytes { write(self.descriptor, $0.baseAddress, $0.count) }
    }

    /// Sites' names need no escapes; times are seconds since 1970.
    static func line(_ row: DueRow, site: String) -> String {
        let (created, seen) = (row.created / 1_000, max(row.seen, row.created) / 1_000)
        return """
            {"site":"\(site)","created":\(created),"last_seen":\(seen),"saves":\(row.saves),"size":\(row.size)}
            """
    }
}
