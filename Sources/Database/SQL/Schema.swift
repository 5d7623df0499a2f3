/// The tables, by version. A version's statements never change once it is released: what is to be different comes as
/// another version.
enum Schema {
    static var version: Int { self.migrations.count }

    /// By version, from 1.
    private static let migrations: [@Sendable (SQLDialect) -> [String]] = [
        { dialect in
            [
                """
                CREATE TABLE IF NOT EXISTS session_gateway_sessions (
                    session_key \(dialect.bytes(atMost: 250)) NOT NULL PRIMARY KEY,
                    keyspace \(dialect.bytes(atMost: 250)) NOT NULL,
                    version BIGINT NOT NULL,
                    writer BIGINT NOT NULL,
                    newest BIGINT NOT NULL,
                    tombstone BIGINT NOT NULL,
                    created BIGINT NOT NULL,
                    written BIGINT NOT NULL,
                    cookie_issued BIGINT NOT NULL,
                    idle_seconds BIGINT NOT NULL,
                    deadline BIGINT NOT NULL,
                    expires BIGINT NOT NULL,
                    due BIGINT NOT NULL,
                    synced BIGINT NOT NULL,
                    saves BIGINT NOT NULL,
                    ancestors \(dialect.bytes(atMost: 250)) NOT NULL,
                    payload \(dialect.bytes()) NOT NULL
                )\(dialect.tableOptions)
                """,
                """
                CREATE INDEX IF NOT EXISTS session_gateway_due ON session_gateway_sessions (keyspace, due, session_key)
                """,
            ]
        }
    ]

    /// The version of the tables that are there; 0 where there are none.
    static func version(of connection: any SQLConnection, _ dialect: SQLDialect) throws(DatabaseError) -> Int {
        guard try connection.query(dialect.schemaTableCount, []).first?.first?.integer != 0 else { return 0 }
        let rows = try connection.query("SELECT version FROM session_gateway_schema", [])
        return Int(rows.first?.first?.integer ?? 0)
    }

    /// In the transaction of the caller, who sees to it that nobody else migrates meanwhile. MariaDB ends a transaction
    /// with every change of a table: there a version is noted as soon as its statements have run, and statements that have run
    /// already do nothing.
    /// - Returns: the version that was there before.
    static func migrate(_ connection: any SQLConnection, _ dialect: SQLDialect) throws(DatabaseError) -> Int {
        let found = try self.version(of: connection, dialect)
        try self.refuseNewer(found)
        if found == 0 {
            try connection.run("CREATE TABLE IF NOT EXISTS session_gateway_schema (version BIGINT NOT NULL)")
            try connection.run("DELETE FROM session_gateway_schema")
            try connection.run("INSERT INTO session_gateway_schema (version) VALUES (0)")
        }
        for version in found..<self.version {
            for statement in self.migrations[version](dialect) {
                try connection.run(statement)
            }
            try connection.run("UPDATE session_gateway_schema SET version = \(version + 1)")
        }
        return found
    }

    static func refuseNewer(_ found: Int) throws(DatabaseError) {
        guard found > self.version else { return }
        throw DatabaseError(
            .schema,
            """
            the database's tables have version \(found), newer than the version \(self.version) that this program knows: \
            use the newer session-gateway
            """
        )
    }

    /// - Throws: where the tables cannot be used as they are.
    static func check(_ found: Int) throws(DatabaseError) {
        try self.refuseNewer(found)
        guard found < self.version else { return }
        throw DatabaseError(
            .schema,
            found == 0
                ? "the database has no tables of session-gateway: run 'session-gateway database migrate'"
                : """
                the database's tables have version \(found), this program needs \(self.version): run 'session-gateway \
                database migrate'
                """
        )
    }
}
