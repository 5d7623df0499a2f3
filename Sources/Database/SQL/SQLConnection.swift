import NIOCore

/// What goes to a database as a parameter and comes back in a row: the tables have whole numbers and bytes.
enum SQLValue: Sendable, Equatable {
    case integer(Int64)
    case bytes(ByteBuffer)
    case null

    /// A number that may use all 64 bits, as its bit pattern.
    init(pattern: UInt64) {
        self = .integer(Int64(bitPattern: pattern))
    }

    /// A time or a count: beyond the signed range it is the greatest one.
    init(clamping number: UInt64) {
        self = .integer(Int64(clamping: number))
    }

    init(_ bytes: [UInt8]) {
        self = .bytes(ByteBuffer(bytes: bytes))
    }

    var integer: Int64 { if case .integer(let number) = self { number } else { 0 } }
    var number: UInt64 { UInt64(clamping: self.integer) }
    var pattern: UInt64 { UInt64(bitPattern: self.integer) }
    var buffer: ByteBuffer { if case .bytes(let bytes) = self { bytes } else { ByteBuffer() } }
}

/// A statement without a result but for how many rows it met.
struct SQLStatement {
    let sql: String
    let values: [SQLValue]

    init(_ sql: String, _ values: [SQLValue]) {
        self.sql = sql
        self.values = values
    }
}

/// One connection to a database. Every call waits; one thread at a time.
///
/// Statements are written with `?` for their parameters and are prepared once for each connection. There are few of them,
/// all of them constants.
protocol SQLConnection: AnyObject {
    /// - Returns: how many rows the statement met, also those that it left as they were.
    func execute(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Int

    /// In their order; in one round trip where the database can.
    /// - Returns: as `execute`, for each.
    func execute(_ statements: [SQLStatement]) throws(DatabaseError) -> [Int]

    func query(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> [[SQLValue]]

    /// Inserts a row unless its primary key is taken.
    /// - Returns: whether it was inserted.
    func insert(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Bool

    /// Runs statements that take no parameters and are not prepared.
    func run(_ sql: String) throws(DatabaseError)
}

extension SQLConnection {
    func execute(_ statements: [SQLStatement]) throws(DatabaseError) -> [Int] {
        var counts: [Int] = []
        for statement in statements { counts.append(try self.execute(statement.sql, statement.values)) }
        return counts
    }
}

/// Where the databases' languages differ.
enum SQLDialect: Sendable {
    case sqlite, postgreSQL, mariaDB

    /// Of a column of bytes; keys have at most 250.
    func bytes(atMost limit: Int? = nil) -> String {
        switch self {
        case .sqlite: "BLOB"
        case .postgreSQL: "BYTEA"
        case .mariaDB: limit.map { "VARBINARY(\($0))" } ?? "LONGBLOB"
        }
    }

    /// What follows the columns of a table.
    var tableOptions: String {
        switch self {
        case .sqlite: ""
        case .postgreSQL: ""
        case .mariaDB: " ENGINE=InnoDB"
        }
    }

    /// What follows an INSERT that leaves a row alone that is there. MariaDB's ways hide other errors too: there the
    /// connection takes the error of a taken key for the answer.
    var unlessTaken: String {
        switch self {
        case .sqlite, .postgreSQL: " ON CONFLICT (session_key) DO NOTHING"
        case .mariaDB: ""
        }
    }

    /// The tables of the gateway that are there, as a number.
    var schemaTableCount: String {
        switch self {
        case .sqlite:
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'session_gateway_schema'"
        case .postgreSQL:
            "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_catalog.pg_class WHERE oid = to_regclass('session_gateway_schema')"
        case .mariaDB:
            """
            SELECT COUNT(*) FROM information_schema.tables \
            WHERE table_schema = DATABASE() AND table_name = 'session_gateway_schema'
            """
        }
    }
}
