import Foundation
import GatewayTesting
import Synchronization

/// A site's rows, read by the database's own client again and again: no version may ever be lower than it was.
final class SyncRows: Sendable {
    enum Source: Sendable {
        case file(String)
        case server(any DatabaseServerProcess)
    }

    /// What a row says: its version, and the page's count, by the visitor that wrote it.
    struct Row: Sendable {
        var version: UInt64
        var count: Int
    }

    private struct State {
        var newest: [String: UInt64] = [:]
        var lower: [String] = []
        var readings = 0
    }

    private let source: Source
    private let directory: TemporaryDirectory
    private let state = Mutex(State())
    private let isReading = Atomic(false)

    init(_ source: Source) throws {
        self.source = source
        self.directory = try TemporaryDirectory()
    }

    /// Rows that went back, in words, and how often all of them were read.
    var lower: [String] { self.state.withLock { $0.lower } }
    var readings: Int { self.state.withLock { $0.readings } }

    /// One after the other: of two that overlap, the one that ends later may have seen less.
    /// - Returns: the rows by visitor, as its nonces name it; nil while the database cannot be asked.
    @discardableResult
    func read() async -> [Int: Row]? {
        while self.isReading.exchange(true, ordering: .acquiring) {
            if Task.isCancelled { return nil }
            try? await Task.sleep(for: .milliseconds(5))
        }
        defer { self.isReading.store(false, ordering: .releasing) }
        let text: String
        do {
            switch self.source {
            case .file:
                text = try await self.execute(
                    "SELECT hex(session_key), version, CAST(payload AS TEXT) FROM session_gateway_sessions"
                )
            case .server(let server):
                text = try await server.execute(
                    """
                    SELECT encode(session_key, 'hex'), version, convert_from(payload, 'UTF8') \
                    FROM session_gateway_sessions
                    """,
                    in: "sessions"
                )
            }
        } catch {
            return nil
        }
        var rows: [Int: Row] = [:]
        self.state.withLock { state in
            state.readings += 1
            for line in text.split(separator: "\n") {
                let columns = line.split(separator: "|", omittingEmptySubsequences: false)
                guard columns.count == 3, let version = UInt64(columns[1]) else { continue }
                let key = String(columns[0])
                if let before = state.newest[key], before > version {
                    state.lower.append("\(version) after \(before)")
                }
                state.newest[key] = version
                guard let session = SeenSession(String(columns[2])),
                    let visitor = session.nonce.split(separator: ".").first.flatMap({ Int($0) })
                else { continue }
                rows[visitor] = Row(version: version, count: session.count)
            }
        }
        return rows
    }

    /// Of SQLite's file; a server that starts has checked its own.
    func integrity() async throws -> String {
        guard case .file = self.source else { return "ok" }
        return try await self.execute("PRAGMA integrity_check").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// By SQLite's own program, in a process of its own.
    @discardableResult
    func execute(_ commands: String...) async throws -> String {
        guard case .file(let path) = self.source else { return "" }
        let process = try ServerProcess(
            Executable.find("sqlite3", package: "sqlite3"),
            ["-cmd", ".timeout 10000", path] + commands,
            output: self.directory.path("sqlite.\(UInt64.random(in: 0 ... .max))")
        )
        guard try await process.waitForEnd(within: .seconds(60)) == .status(0) else {
            throw TestingError("sqlite3: \(process.output)")
        }
        return process.output
    }
}
