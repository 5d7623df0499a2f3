import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Database

/// The databases that every test of the operations runs over.
enum DatabaseKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, postgreSQL, mariaDB

    var testDescription: String { self.rawValue }
}

/// One server of a kind for all tests of this process.
enum TestServers {
    static let postgreSQL = Task { try await PostgreSQLProcess() }
    static let mariaDB = Task { try await MariaDBProcess() }

    static func server(_ kind: DatabaseKind) async throws -> any DatabaseServerProcess {
        switch kind {
        case .sqlite: throw TestingError("SQLite has no server")
        case .postgreSQL: try await self.postgreSQL.value
        case .mariaDB: try await self.mariaDB.value
        }
    }
}

/// An empty database of one test.
final class TestDatabase: Sendable {
    let configuration: DatabaseConfiguration
    let database: any SessionDatabase
    let keyspace: SessionKeyspace
    /// Has its file, or holds nothing.
    let directory: TemporaryDirectory
    private let other: @Sendable (String) async throws -> String

    private init(
        _ configuration: DatabaseConfiguration,
        _ directory: TemporaryDirectory,
        execute: @escaping @Sendable (String) async throws -> String
    ) throws {
        self.configuration = configuration
        self.database = try configuration.open()
        self.keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        self.directory = directory
        self.other = execute
    }

    static func with(
        _ kind: DatabaseKind,
        server: (any DatabaseServerProcess)? = nil,
        isMigrated: Bool = true,
        statementTimeout: Duration = .seconds(10),
        _ body: (TestDatabase) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let fixture: TestDatabase
        switch kind {
        case .sqlite:
            let path = directory.path("state/sessions.sqlite")
            let configuration = DatabaseConfiguration(location: .sqlite(path: path))
            fixture = try TestDatabase(configuration, directory) { sql in
                let process = try ServerProcess(
                    Executable.find("sqlite3", package: "sqlite3"),
                    [path, sql],
                    output: directory.path("sqlite3.log")
                )
                guard try await process.waitForEnd(within: .seconds(60)) == .status(0) else {
                    throw TestingError(process.output)
                }
                return process.output
            }
        case .postgreSQL, .mariaDB:
            let running: any DatabaseServerProcess
            if let server { running = server } else { running = try await TestServers.server(kind) }
            let name = "test\(UInt64.random(in: 0 ... .max))"
            let url = try await running.createDatabase(name)
            var configuration = DatabaseConfiguration(location: try DatabaseLocation(url))
            configuration.statementTimeout = statementTimeout
            configuration.connectTimeout = statementTimeout
            fixture = try TestDatabase(configuration, directory) { try await running.execute($0, in: name) }
        }
        do {
            if isMigrated { try await fixture.database.migrate() }
            try await body(fixture)
        } catch {
            await fixture.database.close()
            throw error
        }
        await fixture.database.close()
    }

    /// By somebody else, who is not this program.
    /// - Returns: what the database's own client prints.
    @discardableResult
    func execute(_ sql: String) async throws -> String { try await self.other(sql) }

    func freshKey() throws -> SessionKey {
        var random = SystemRandom()
        return self.keyspace.key(for: SessionID.generate(using: &random))
    }

    /// A row as a gateway would write it.
    func row(
        _ key: SessionKey,
        version: UInt64,
        writer: UInt64 = 7,
        text: String = "data",
        expires: UInt64 = 2_000_000,
        due: UInt64? = nil
    ) -> SessionRow {
        SessionRow(
            key: key,
            record: SessionRecord(
                identity: WriteIdentity(version: version, writer: writer),
                ancestors: version > 1 ? [WriteIdentity(version: version - 1, writer: writer)] : [],
                created: 1_000,
                written: 1_000 + version,
                databaseSynced: 5_000,
                cookieIssued: 17,
                idleSeconds: 1_440,
                absoluteDeadline: 9_000_000,
                payload: ByteBuffer(string: text)
            ),
            expires: expires,
            due: due ?? expires,
            synced: 5_000
        )
    }

    func text(_ key: SessionKey) async throws -> String? {
        try await self.database.row(key).map { String(buffer: $0.record.payload) }
    }
}

/// With any error: inside of an expectation a typed one does not compile.
extension SessionDatabase {
    func row(_ key: SessionKey) async throws -> SessionRow? { try await self.load(key) }

    @discardableResult
    func change(_ change: RowChange) async throws -> RowChangeResult { try await self.apply(change) }

    func changes(_ changes: [RowChange]) async throws -> [RowChangeResult] { try await self.apply(changes) }
    func dueRows(_ keyspace: SessionKeyspace, at now: UInt64) async throws -> Int {
        try await self.dueCount(keyspace, at: now)
    }
    func leader(_ keyspace: SessionKeyspace) async throws -> (any LeaderLease)? { try await self.lead(keyspace) }
    func version() async throws -> Int { try await self.schemaVersion() }
    func migration() async throws -> Int { try await self.migrate() }
}
