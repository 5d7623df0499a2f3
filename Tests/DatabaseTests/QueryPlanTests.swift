import Foundation
import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Database

/// What the databases make of the reaper's and the gateways' real statements, with many rows of which few are due.
@Suite(.timeLimit(.minutes(5)))
struct QueryPlanTests {
    /// Takes statements down instead of running them.
    private final class Recorder: SQLConnection {
        private(set) var statements: [(sql: String, values: [SQLValue])] = []

        func execute(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Int {
            self.statements.append((sql, values))
            return 0
        }

        func query(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> [[SQLValue]] {
            self.statements.append((sql, values))
            return []
        }

        func insert(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Bool { true }
        func run(_ sql: String) throws(DatabaseError) {}
    }

    private static let rows =
        ProcessInfo.processInfo.environment["SESSION_GATEWAY_LONG"] == "1" ? 1_000_000 : 20_000
    /// Times of the rows: one in a hundred is due by then.
    private static let now: UInt64 = 1_000_000

    private static func dialect(_ kind: DatabaseKind) -> SQLDialect {
        switch kind {
        case .sqlite: .sqlite
        case .postgreSQL: .postgreSQL
        case .mariaDB: .mariaDB
        }
    }

    /// With the values in their places, as the database's own client takes it.
    private static func literal(_ sql: String, _ values: [SQLValue], _ kind: DatabaseKind) -> String {
        let parts = sql.split(separator: "?", omittingEmptySubsequences: false)
        return zip(parts, values.map { Optional($0) } + [nil]).map { part, value in
            switch value {
            case nil: String(part)
            case .null: "\(part)NULL"
            case .integer(let number): "\(part)\(number)"
            case .bytes(let bytes):
                "\(part)" + Self.literal(bytes.readableBytesView.map { String(format: "%02x", $0) }.joined(), kind)
            }
        }.joined()
    }

    private static func literal(_ hexadecimal: String, _ kind: DatabaseKind) -> String {
        kind == .postgreSQL ? "'\\x\(hexadecimal)'::bytea" : "x'\(hexadecimal)'"
    }

    /// Keys of the right length that are nobody's.
    private static func fill(_ test: TestDatabase, _ kind: DatabaseKind) async throws {
        let prefix = test.keyspace.bytes.map { String(format: "%02x", $0) }.joined()
        let (numbers, key): (String, String) =
            switch kind {
            case .sqlite:
                (
                    """
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(Self.rows)) \
                    SELECT n FROM numbers
                    """, "CAST(x'\(prefix)' || printf('%040d', n) AS BLOB)"
                )
            case .postgreSQL:
                (
                    "SELECT generate_series(1, \(Self.rows)) AS n",
                    "'\\x\(prefix)'::bytea || lpad(n::text, 40, '0')::bytea"
                )
            case .mariaDB:
                ("SELECT seq AS n FROM seq_1_to_\(Self.rows)", "CONCAT(x'\(prefix)', LPAD(n, 40, '0'))")
            }
        let due = "CASE WHEN n % 100 = 0 THEN n ELSE \(Self.now) + n END"
        try await test.execute(
            """
            INSERT INTO session_gateway_sessions (session_key, keyspace, version, writer, newest, tombstone, created, \
            written, cookie_issued, idle_seconds, deadline, expires, due, synced, saves, ancestors, payload) \
            SELECT \(key), \(Self.literal(prefix, kind)), n, 1, n, 0, 1, 1, 0, 1, 9, 9, \(due), 1, 1, \
            \(Self.literal("", kind)), \(Self.literal("", kind)) FROM (\(numbers)) AS numbers
            """
        )
        try await test.execute(
            kind == .mariaDB
                ? "ANALYZE TABLE session_gateway_sessions" : "ANALYZE session_gateway_sessions"
        )
    }

    private static func plan(
        _ test: TestDatabase,
        _ kind: DatabaseKind,
        _ body: (SessionStatements) throws -> Void
    ) async throws -> [String] {
        let recorder = Recorder()
        try body(SessionStatements(dialect: Self.dialect(kind), connection: recorder))
        var plans: [String] = []
        for (sql, values) in recorder.statements {
            let explain = kind == .sqlite ? "EXPLAIN QUERY PLAN" : "EXPLAIN"
            plans.append(try await test.execute("\(explain) \(Self.literal(sql, values, kind))"))
        }
        return plans
    }

    @Test(arguments: DatabaseKind.allCases)
    func whatIsDueIsFoundByTheIndexAlone(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, statementTimeout: .seconds(60)) { test in
            try await Self.fill(test, kind)
            let due = try await test.database.dueRows(test.keyspace, at: Self.now)
            #expect(due == Self.rows / 100)
            let cursor = DueCursor(
                after: DueRow(
                    key: try test.freshKey(),
                    identity: WriteIdentity(version: 1, writer: 1),
                    newest: 1,
                    isTombstone: false,
                    created: 1,
                    written: 1,
                    expires: 1,
                    seen: 1,
                    absoluteDeadline: 1,
                    due: 200,
                    saves: 1,
                    size: 1
                )
            )
            let plans = try await Self.plan(test, kind) { statements in
                _ = try statements.due(test.keyspace, at: Self.now, after: nil, limit: 200)
                _ = try statements.due(test.keyspace, at: Self.now, after: cursor, limit: 200)
                _ = try statements.dueCount(test.keyspace, at: Self.now)
            }
            #expect(plans.count == 3)
            for plan in plans {
                #expect(plan.contains("session_gateway_due"), "\(plan)")
                for word in ["Seq Scan", "SCAN", "Sort", "TEMP B-TREE", "filesort", "temporary"] {
                    #expect(!plan.contains(word), "\(plan)")
                }
                switch kind {
                case .sqlite: #expect(plan.contains("SEARCH") && plan.contains("due<?"), "\(plan)")
                case .postgreSQL: #expect(plan.contains("Index Cond: ((keyspace ="), "\(plan)")
                case .mariaDB: #expect(plan.contains("\trange\t"), "\(plan)")
                }
            }
        }
    }

    @Test(arguments: DatabaseKind.allCases)
    func aSessionsRowIsFoundByItsKey(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, statementTimeout: .seconds(60)) { test in
            try await Self.fill(test, kind)
            let (key, base) = (try test.freshKey(), WriteIdentity(version: 1, writer: 1))
            let row = test.row(key, version: 10)
            try await test.database.change(.insert(row))
            let plans = try await Self.plan(test, kind) { statements in
                _ = try statements.load(key)
                _ = try statements.apply([
                    .compareAndSave(row, base: base), .upsert(row, over: .ancestors), .tombstone(row),
                    .mark(key, newest: 11), .confirm(key, base), .postpone(key, base, due: 1),
                    .makeDue(key, base),
                    .delete(key, base, dueBefore: 1, expiresBefore: .max),
                ])
                _ = try statements.apply([.touch(key, expires: 1, due: 1)])
            }
            #expect(plans.count > 8)
            for plan in plans {
                for word in ["Seq Scan", "SCAN", "\tALL\t"] { #expect(!plan.contains(word), "\(plan)") }
                switch kind {
                case .sqlite: #expect(plan.contains("(session_key=?)"), "\(plan)")
                case .postgreSQL: #expect(plan.contains("session_gateway_sessions_pkey"), "\(plan)")
                case .mariaDB: #expect(plan.contains("PRIMARY"), "\(plan)")
                }
            }
        }
    }
}
