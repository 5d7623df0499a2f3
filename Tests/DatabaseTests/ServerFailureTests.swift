import Foundation
import GatewayTesting
import Glibc
import NIOCore
import Sessions
import Testing

@testable import Database

/// Database servers that die, freeze and come back.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct ServerFailureTests {
    @Test func ofManyStatementsOneThatFailsEndsTheOthersAndNotTheConnection() async throws {
        try await TestDatabase.with(.postgreSQL) { test in
            guard case .postgreSQL(let location) = test.configuration.location.kind else {
                throw TestingError("no PostgreSQL")
            }
            let (limit, sql) = (Duration.seconds(10), "UPDATE session_gateway_schema SET version = version / ?")
            let driver = PostgreSQLDriver(location: location, connectTimeout: limit, statementTimeout: limit)
            let connection = try driver.connect()
            let failure = #expect(throws: DatabaseError.self) {
                try connection.execute([1, 0, 1].map { SQLStatement(sql, [.integer($0)]) })
            }
            #expect(failure?.code == .refused && connection.isUsable)
            let counts = try connection.execute([1, 1].map { SQLStatement(sql, [.integer($0)]) })
            let rows = try connection.query("SELECT version FROM session_gateway_schema", [])
            #expect(counts == [1, 1] && rows == [[.integer(1)]])
            connection.close()
        }
    }

    static let kinds: [DatabaseKind] = [.postgreSQL, .mariaDB]

    private static func with(
        _ kind: DatabaseKind,
        _ body: (TestDatabase, any DatabaseServerProcess) async throws -> Void
    ) async throws {
        let server: any DatabaseServerProcess
        if kind == .postgreSQL { server = try await PostgreSQLProcess() } else { server = try await MariaDBProcess() }
        try await TestDatabase.with(kind, server: server, statementTimeout: .seconds(1)) { try await body($0, server) }
        try await server.kill()
    }

    @Test(arguments: Self.kinds)
    func nothingGoesBackWhileTheServerIsKilledAndStarted(_ kind: DatabaseKind) async throws {
        try await Self.with(kind) { test, server in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 1)))
            let writer = Task {
                var (acknowledged, failed, version) = (0, 0, UInt64(1))
                while !Task.isCancelled {
                    version += 1
                    do {
                        if try await test.database.change(.upsert(test.row(key, version: version))).isApplied {
                            acknowledged = Int(version)
                        }
                    } catch {
                        failed += 1
                        try? await Task.sleep(for: .milliseconds(5))
                    }
                }
                return (acknowledged, failed)
            }
            for _ in 0..<3 {
                try await Task.sleep(for: .milliseconds(300))
                try await server.kill()
                try await Task.sleep(for: .milliseconds(300))
                try await server.start()
                // By itself, some time after it is back.
                try await Eventually.holds(within: .seconds(20), "the database to answer again") {
                    (try? await test.database.row(key)) != nil
                }
            }
            writer.cancel()
            let (acknowledged, failed) = await writer.value
            #expect(failed > 0)
            let row = try #require(try await test.database.row(key))
            #expect(Int(row.record.identity.version) >= acknowledged && acknowledged > 1)
        }
    }

    @Test(arguments: Self.kinds)
    func aFrozenServerCostsATimeOutAndThenNothing(_ kind: DatabaseKind) async throws {
        try await Self.with(kind) { test, server in
            let key = try test.freshKey()
            try await test.database.change(.insert(test.row(key, version: 1)))
            try server.freeze()
            let begun = ContinuousClock.now
            await #expect(throws: DatabaseError.self) { try await test.database.row(key) }
            // MariaDB's library counts whole seconds, and reconnects once.
            #expect(.now - begun < .seconds(12))
            var quickest = Duration.seconds(60)
            for _ in 0..<20 {
                let begun = ContinuousClock.now
                await #expect(throws: DatabaseError.self) { try await test.database.row(key) }
                quickest = min(quickest, .now - begun)
            }
            #expect(quickest < .milliseconds(100))
            try server.thaw()
            try await Eventually.holds(within: .seconds(30), "the database to answer again") {
                (try? await test.database.row(key)) != nil
            }
        }
    }

    @Test(arguments: Self.kinds)
    func aDeadLeaderIsReplaced(_ kind: DatabaseKind) async throws {
        try await Self.with(kind) { test, server in
            let second = try test.configuration.open()
            let lease = try #require(try await test.database.leader(test.keyspace))
            try await server.restart()
            #expect(await !lease.isHeld())
            try await Eventually.holds("another leader") {
                guard let next = try? await second.leader(test.keyspace) else { return false }
                await next.giveBack()
                return true
            }
            await second.close()
        }
    }
}

/// A file whose disk is full, or that may not be written.
@Suite(.timeLimit(.minutes(1)))
struct SQLiteStorageTests {
    @Test(.enabled(if: getuid() == 0, "mounts a small tmpfs"))
    func aFullDiskFailsClearlyAndDamagesNothing() async throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path("small"), withIntermediateDirectories: true)
        try #require(mount("tmpfs", directory.path("small"), "tmpfs", 0, "size=1m") == 0)
        defer { umount2(directory.path("small"), Int32(MNT_DETACH)) }
        let path = directory.path("small/sessions.sqlite")
        let database = try DatabaseConfiguration(location: .sqlite(path: path)).open()
        try await database.migrate()
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        var random = SystemRandom()
        var written: [SessionKey] = []
        var failure: DatabaseError?
        for number in 0..<500 {
            let key = keyspace.key(for: SessionID.generate(using: &random))
            let record = SessionRecord(
                identity: WriteIdentity(version: UInt64(number + 1), writer: 1),
                created: 1,
                written: 1,
                idleSeconds: 10,
                absoluteDeadline: 100,
                payload: ByteBuffer(repeating: 7, count: 10_000)
            )
            do throws(DatabaseError) {
                try await database.apply(
                    .insert(SessionRow(key: key, record: record, expires: 100, due: 100, synced: 0)),
                    isDurable: number.isMultiple(of: 10)
                )
                written.append(key)
            } catch {
                failure = error
                break
            }
        }
        #expect(failure?.code == .storage)
        #expect(failure?.message.contains("disk is full") == true)
        #expect(written.count > 10)
        for key in written { #expect(try await database.row(key)?.record.payload.readableBytes == 10_000) }
        await database.close()
        let check = try ServerProcess(
            Executable.find("sqlite3", package: "sqlite3"),
            [path, "PRAGMA integrity_check; SELECT COUNT(*) FROM session_gateway_sessions"],
            output: directory.path("check")
        )
        _ = try await check.waitForEnd()
        #expect(check.output == "ok\n\(written.count)\n")
    }

    /// With `normal` SQLite itself flushes no commit: what is durable is flushed by the gateway, which shows where its log
    /// cannot be.
    @Test(arguments: SQLiteSynchronous.allCases)
    func whatIsDurableIsFlushed(_ synchronous: SQLiteSynchronous) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("sessions.sqlite")
        let engine = try SQLiteEngine(path: path, synchronous: synchronous, readers: 1, busyTimeout: .seconds(5))
        let inForce = try await engine.write(isDurable: false) { connection throws(DatabaseError) in
            try connection.run("CREATE TABLE rows (number INTEGER)")
            return try connection.query("SELECT synchronous FROM pragma_synchronous", [])
        }
        #expect(inForce == [[.integer(synchronous == .off ? 0 : synchronous == .normal ? 1 : 2)]])
        // SQLite goes on with the file that it has open.
        try FileManager.default.removeItem(atPath: path + "-wal")
        func insert(isDurable: Bool) async throws -> Int {
            try await engine.write(isDurable: isDurable) { connection throws(DatabaseError) in
                try connection.execute("INSERT INTO rows VALUES (1)", [])
            }
        }
        #expect(try await insert(isDurable: false) == 1)
        if synchronous == .normal {
            let error = await #expect(throws: DatabaseError.self) { try await insert(isDurable: true) }
            #expect(error?.code == .lost && error?.mayHaveHappened == true)
        } else {
            #expect(try await insert(isDurable: true) == 1)
        }
        await engine.close()
    }

    @Test func aDirectoryThatCannotBeMadeIsNamed() throws {
        let directory = try TemporaryDirectory()
        try directory.write("file", "")
        let location = DatabaseLocation.sqlite(path: directory.path("file/sessions.sqlite"))
        let error = #expect(throws: DatabaseError.self) { try DatabaseConfiguration(location: location).open() }
        #expect(error?.code == .storage)
    }
}
