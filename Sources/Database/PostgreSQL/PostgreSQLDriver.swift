import CPostgreSQL

/// Where a PostgreSQL is: a URI as libpq takes it. May hold a password, so it is never shown.
struct PostgreSQLLocation: Sendable {
    let uri: String

    /// - Throws: where libpq would refuse it, in other words than libpq's: those repeat a part of it.
    init(uri: String) throws(DatabaseError) {
        guard let options = PQconninfoParse(uri, nil) else {
            throw .noLocation(
                """
                is not what libpq takes: postgresql://user:password@host:port/database?name=value, with the names that libpq \
                knows and %XX for characters that have a meaning there
                """
            )
        }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            // libpq looks at the numbers only when it connects.
            if String(cString: keyword) == "port", let value = option.pointee.val {
                let ports = String(cString: value).split(separator: ",")
                guard ports.allSatisfy({ Int($0).map { (1...65_535).contains($0) } ?? false }) else { throw .badPort }
            }
            option += 1
        }
        self.uri = uri
    }
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
