/// Where a MariaDB is, and who asks.
struct MariaDBLocation: Sendable, Equatable {
    var host: String? = nil
    var port = 3_306
    /// A unix socket, which goes before the host.
    var socket: String? = nil
    var user: String? = nil
    var password: String? = nil
    var database: String
}

struct MariaDBDriver: ServerDriver {
    static let dialect = SQLDialect.mariaDB

    let location: MariaDBLocation
    let connectTimeout: Duration
    let statementTimeout: Duration

    func connect() throws(DatabaseError) -> MariaDBConnection {
        try MariaDBConnection(
            self.location,
            connectTimeout: self.connectTimeout,
            statementTimeout: self.statementTimeout
        )
    }

    func tryLock(_ name: [UInt8], on connection: MariaDBConnection) throws(DatabaseError) -> Bool {
        try connection.query("SELECT GET_LOCK(?, 0)", [Self.lockName(LeaderName.hash(name))]).first?.first?.integer == 1
    }

    func withMigrationLock<Result>(
        on connection: MariaDBConnection,
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        guard try connection.query("SELECT GET_LOCK(?, 30)", [Self.lockName(0)]).first?.first?.integer == 1 else {
            throw DatabaseError(.conflict, "MariaDB: somebody else is changing the tables")
        }
        defer {
            do throws(DatabaseError) {
                _ = try connection.query("SELECT RELEASE_LOCK(?)", [Self.lockName(0)])
            } catch {
                connection.close()
            }
        }
        return try body()
    }

    /// At most 64 characters, and the same for all databases of a server.
    private static func lockName(_ number: UInt64) -> SQLValue {
        SQLValue(Array("session-gateway-\(String(number, radix: 16))".utf8))
    }
}
