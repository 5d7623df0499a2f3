import GRDB
import GRDBSQLite
import NIOCore

/// A connection of GRDB's, for as long as GRDB gives it out. GRDB prepares and keeps the statements; parameters and columns
/// go past its values, each of which would be an object of its own.
final class SQLiteConnection: SQLConnection {
    private let database: Database

    init(_ database: Database) {
        self.database = database
    }

    func execute(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Int {
        try self.run(sql, values) { _ in }
        return self.database.changesCount
    }

    func insert(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Bool {
        try self.execute(sql, values) > 0
    }

    func query(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> [[SQLValue]] {
        var rows: [[SQLValue]] = []
        try self.run(sql, values) { statement in
            rows.append((0..<sqlite3_column_count(statement)).map { SQLValue(column: $0, of: statement) })
        }
        return rows
    }

    func run(_ sql: String) throws(DatabaseError) {
        try DatabaseError.translating { try self.database.execute(sql: sql) }
    }

    /// - Parameter body: called for each row, which is gone afterwards.
    private func run(_ sql: String, _ values: [SQLValue], _ body: (OpaquePointer) -> Void) throws(DatabaseError) {
        try DatabaseError.translating {
            let statement = try self.database.cachedStatement(sql: sql).sqliteStatement
            // Reset tells the error of the last step once more.
            defer {
                sqlite3_reset(statement)
                sqlite3_clear_bindings(statement)
            }
            for (index, value) in values.enumerated() {
                try self.check(value.bind(to: statement, at: CInt(index + 1)))
            }
            while true {
                let code = sqlite3_step(statement)
                if code == SQLITE_DONE { return }
                guard code == SQLITE_ROW else { return try self.check(code) }
                body(statement)
            }
        }
    }

    private func check(_ code: CInt) throws {
        guard code != SQLITE_OK else { return }
        throw GRDB.DatabaseError(
            resultCode: ResultCode(rawValue: code),
            message: self.database.sqliteConnection.map { String(cString: sqlite3_errmsg($0)) }
        )
    }
}

extension SQLValue {
    /// SQLite takes a copy of bytes: the buffer may end before the statement does.
    fileprivate func bind(to statement: OpaquePointer, at index: CInt) -> CInt {
        switch self {
        case .integer(let number):
            sqlite3_bind_int64(statement, index, number)
        case .bytes(let bytes):
            bytes.withUnsafeReadableBytes { bytes in
                bytes.isEmpty
                    ? sqlite3_bind_zeroblob(statement, index, 0)
                    : sqlite3_bind_blob64(statement, index, bytes.baseAddress, UInt64(bytes.count), Self.transient)
            }
        case .null:
            sqlite3_bind_null(statement, index)
        }
    }

    /// SQLITE_TRANSIENT (sqlite3.h), a cast that Swift does not see.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    fileprivate init(column: CInt, of statement: OpaquePointer) {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER:
            self = .integer(sqlite3_column_int64(statement, column))
        case SQLITE_BLOB:
            let start = sqlite3_column_blob(statement, column)
            let count = Int(sqlite3_column_bytes(statement, column))
            self = .bytes(ByteBuffer(bytes: UnsafeRawBufferPointer(start: start, count: count)))
        default:
            self = .null
        }
    }
}

extension DatabaseError {
    /// SQLite's errors as this module's. The texts name no values: GRDB leaves out the arguments.
    static func translating<Result>(_ body: () throws -> Result) throws(DatabaseError) -> Result {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw error
        } catch let error as GRDB.DatabaseError {
            throw DatabaseError(error)
        } catch {
            throw DatabaseError(.unavailable, "SQLite: \(error)")
        }
    }

    private init(_ error: GRDB.DatabaseError) {
        let text = "SQLite: \(error.message ?? error.resultCode.description)"
        switch error.resultCode {
        case .SQLITE_FULL: self.init(.storage, "SQLite: the disk is full")
        case .SQLITE_READONLY: self.init(.storage, "SQLite: the file, or its directory, may not be written")
        case .SQLITE_IOERR, .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_CANTOPEN, .SQLITE_PERM: self.init(.storage, text)
        case .SQLITE_BUSY, .SQLITE_LOCKED: self.init(.conflict, "SQLite: somebody else keeps the file locked")
        case .SQLITE_ERROR: self.init(.schema, text)
        case .SQLITE_INTERRUPT: self.init(.timedOut, text)
        default: self.init(.refused, text)
        }
    }
}
