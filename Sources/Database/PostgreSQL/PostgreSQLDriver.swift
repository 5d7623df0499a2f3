/// Where a PostgreSQL is: a URI or connection string as libpq takes it. May hold a password, so it is never shown.
struct PostgreSQLLocation: Sendable {
    let connectionString: String
}

struct PostgreSQLDriver: ServerDriver {
    static let dialect = SQLDialect.postgreSQL

    let location: PostgreSQLLocation
    let connectTimeout: Duration
    let statementTimeout: Duration

    func connect() throws(DatabaseError) -> PostgreSQLConnection {
        try PostgreSQLConnection(
            self.location,
            connectTimeout: self.connectTimeout,
            statementTimeout: self.statementTimeout
        )
    }

    func tryLock(_ name: [UInt8], on connection: PostgreSQLConnection) throws(DatabaseError) -> Bool {
        let number = SQLValue(pattern: LeaderName.hash(name))
        return try connection.query("SELECT pg_try_advisory_lock(?)", [number]).first?.first?.integer == 1
    }

    func withMigrationLock<Result>(
        on connection: PostgreSQLConnection,
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        // "session gateway schema", in a number.
        _ = try connection.query("SELECT 1 FROM pg_advisory_lock(?)", [.integer(0x5347_7363_6865_6d61)])
        defer {
            do throws(DatabaseError) {
                _ = try connection.query("SELECT 1 FROM pg_advisory_unlock(?)", [.integer(0x5347_7363_6865_6d61)])
            } catch {
                connection.close()
            }
        }
        return try body()
    }
}
