import GatewayTesting
import NIOCore
import Sessions
import Synchronization
import Testing

@testable import Database

/// Clients that are frozen in the midst of something, or gone without a word, and rows that somebody has locked.
@Suite(.timeLimit(.minutes(3)))
struct IdleClientTests {
    /// Half of it is waited for a row, in whole seconds.
    private static let limit = Duration.seconds(2)

    /// A connection as the gateway makes it.
    private static func connection(_ test: TestDatabase) throws -> any ServerConnection {
        switch test.configuration.location.kind {
        case .postgreSQL(let location):
            try PostgreSQLDriver(location: location, connectTimeout: Self.limit, statementTimeout: Self.limit).connect()
        case .mariaDB(let location):
            try MariaDBDriver(location: location, connectTimeout: Self.limit, statementTimeout: Self.limit).connect()
        case .sqlite:
            throw TestingError("SQLite has no server")
        }
    }

    private static func lock(_ key: SessionKey, on connection: any ServerConnection) throws {
        try connection.run("BEGIN")
        let sql = "UPDATE session_gateway_sessions SET saves = saves + 1 WHERE session_key = ?"
        #expect(try connection.execute(sql, [SQLValue(key.bytes)]) == 1)
    }

    @Test(arguments: ServerFailureTests.kinds)
    func aFrozenClientsTransactionEnds(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, statementTimeout: Self.limit) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 1)))
            let frozen = try Self.connection(test)
            try Self.lock(key, on: frozen)
            let begun = ContinuousClock.now
            // Waited for once, not again and again.
            let error = await #expect(throws: DatabaseError.self) {
                try await test.database.change(.upsert(test.row(key, version: 2)))
            }
            #expect(error?.code == .locked && .now - begun < .seconds(4), "\(String(describing: error))")
            try await Eventually.holds(within: .seconds(15), "the lock to be free") {
                (try? await test.database.change(.upsert(test.row(key, version: 2)))) == .applied
            }
            frozen.close()
        }
    }

    @Test(arguments: ServerFailureTests.kinds)
    func aLockedRowHoldsUpNoOther(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, statementTimeout: Self.limit) { test in
            let keys = try (0..<20).map { _ in try test.freshKey() }
            for key in keys { try await test.database.change(.insert(test.row(key, version: 1))) }
            let other = try Self.connection(test)
            try Self.lock(keys[7], on: other)
            let changes = keys.map { RowChange.upsert(test.row($0, version: 2)) }
            let database = test.database
            let results = try await database.applyEach(changes)
            #expect(results.map { $0 == .applied } == keys.map { $0 != keys[7] })
            other.close()
            #expect(try await database.applyEach(changes).allSatisfy { $0 == .applied })
        }
    }

    /// As many as a gateway writes at once.
    @Test(arguments: ServerFailureTests.kinds)
    func aLockedRowHoldsUpNoneOfManyForLong(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, statementTimeout: Self.limit) { test in
            let keys = try (0..<1_500).map { _ in try test.freshKey() }
            let database = test.database
            let made = try await database.applyEach(keys.map { .insert(test.row($0, version: 1)) })
            #expect(made.allSatisfy { $0 == .applied })
            let other = try Self.connection(test)
            try Self.lock(keys[700], on: other)
            let begun = ContinuousClock.now
            let marked = try await database.applyEach(keys.map { .mark($0, newest: 5) })
            // It waits for the lock four times, a second each.
            #expect(.now - begun < .seconds(10))
            #expect(marked.map { $0 == .applied } == keys.indices.map { $0 != 700 })
            other.close()
            let rest = try await database.applyEach(keys.map { .mark($0, newest: 6) })
            #expect(rest.allSatisfy { $0 == .applied })
        }
    }

    /// What is between two calls, a leader's lock above all, is given up by the server after a while.
    @Test(arguments: ServerFailureTests.kinds)
    func anIdleConnectionIsClosedAndTheNextCallDoesNotNotice(_ kind: DatabaseKind) async throws {
        try await TestDatabase.with(kind, statementTimeout: Self.limit) { test in
            let connection = try Self.connection(test)
            let sql =
                kind == .mariaDB
                ? "SELECT CAST(@@SESSION.wait_timeout AS SIGNED)"
                : "SELECT CAST(setting AS BIGINT) FROM pg_settings WHERE name = 'idle_session_timeout'"
            let seconds = Int64(ServerLimits.idleSeconds)
            #expect(try connection.query(sql, []) == [[.integer(kind == .mariaDB ? seconds : seconds * 1_000)]])
            connection.close()
            // As the server does it then, to all of this database's connections.
            let key = try test.freshKey()
            for version in 1...3 {
                try await test.database.change(.upsert(test.row(key, version: UInt64(version))))
                if kind == .mariaDB {
                    let list = try await test.execute(
                        "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
                    )
                    for id in list.split(separator: "\n") { _ = try? await test.execute("KILL \(id)") }
                } else {
                    try await test.execute(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE datname = current_database() AND pid <> pg_backend_pid()
                        """
                    )
                }
            }
            #expect(try await test.database.row(key)?.record.identity.version == 3)
        }
    }

    /// What was lost may have been carried out, whatever the repetition meets.
    @Test func aChangeWhoseAnswerWasLostMayHaveHappened() async throws {
        try await TestDatabase.with(.postgreSQL) { test in
            guard case .postgreSQL(let location) = test.configuration.location.kind else {
                throw TestingError("no PostgreSQL")
            }
            let driver = PostgreSQLDriver(
                location: location,
                connectTimeout: .seconds(5),
                statementTimeout: .seconds(5)
            )
            let engine = ConnectionPool(driver: driver, connections: 1, patience: .seconds(10))
            let tries = Counter()
            let error = await #expect(throws: DatabaseError.self) {
                try await engine.write(isDurable: true) { connection throws(DatabaseError) in
                    guard tries.next() == 1 else { throw DatabaseError(.locked, "a row is locked") }
                    _ = try connection.query("SELECT pg_terminate_backend(pg_backend_pid())", [])
                }
            }
            #expect(error?.code == .lost && error?.mayHaveHappened == true)
            #expect(error?.message == "a row is locked")
            await engine.close()
        }
    }

    /// A server that takes one connection and no more.
    @Test func aConnectionTooManyIsNoOutage() async throws {
        let server = try await PostgreSQLProcess()
        try await TestDatabase.with(.postgreSQL, server: server, statementTimeout: .seconds(5)) { test in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 1)))
            guard case .postgreSQL(let location) = test.configuration.location.kind else {
                throw TestingError("no PostgreSQL")
            }
            let driver = LimitedDriver(
                base: PostgreSQLDriver(location: location, connectTimeout: .seconds(5), statementTimeout: .seconds(5))
            )
            let engine = ConnectionPool(driver: driver, connections: 4, patience: .seconds(5))
            let database = SQLSessionDatabase(engine: engine)
            #expect(try await database.row(key) != nil)
            let found = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<200 {
                    group.addTask { (try? await database.row(key)) != nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(found == 200)
            await database.close()
        }
        try await server.kill()
    }
}

/// Refuses every connection but the first.
private struct LimitedDriver: ServerDriver {
    static let dialect = SQLDialect.postgreSQL
    let base: PostgreSQLDriver
    private let count = Counter()

    init(base: PostgreSQLDriver) { self.base = base }

    func connect() throws(DatabaseError) -> PostgreSQLConnection {
        guard self.count.next() == 1 else { throw DatabaseError(.unavailable, "too many connections") }
        return try self.base.connect()
    }

    func tryLock(_ name: [UInt8], on connection: PostgreSQLConnection) throws(DatabaseError) -> Bool {
        try self.base.tryLock(name, on: connection)
    }

    func withMigrationLock<Result>(
        on connection: PostgreSQLConnection,
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try self.base.withMigrationLock(on: connection, body)
    }
}

private final class Counter: Sendable {
    private let count = Mutex(0)

    func next() -> Int {
        self.count.withLock { count in
            count += 1
            return count
        }
    }
}
