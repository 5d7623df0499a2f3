import Foundation
import GRDB
import NIOCore
import NIOFoundationCompat

/// A connection of GRDB's, for as long as GRDB gives it out.
final class SQLiteConnection: SQLConnection {
    private let database: Database

    init(_ database: Database) {
        self.database = database
    }

    func execute(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Int {
        try DatabaseError.translating {
            let statement = try self.database.cachedStatement(sql: sql)
            try statement.execute(arguments: Self.arguments(values))
            return self.database.changesCount
        }
    }

    func insert(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Bool {
        try self.execute(sql, values) > 0
    }

    func query(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> [[SQLValue]] {
        try DatabaseError.translating {
            let statement = try self.database.cachedStatement(sql: sql)
            let cursor = try Row.fetchCursor(statement, arguments: Self.arguments(values))
            var rows: [[SQLValue]] = []
            while let row = try cursor.next() {
                rows.append(row.databaseValues.map(SQLValue.init))
            }
            return rows
        }
    }

    func run(_ sql: String) throws(DatabaseError) {
        try DatabaseError.translating { try self.database.execute(sql: sql) }
    }

    private static func arguments(_ values: [SQLValue]) -> StatementArguments {
        StatementArguments(
            values.map { value -> (any DatabaseValueConvertible)? in
                switch value {
                case .integer(let number): number
                case .bytes(let bytes): Data(buffer: bytes)
                case .null: nil
                }
            }
        )
    }
}

extension SQLValue {
    fileprivate init(_ value: DatabaseValue) {
        switch value.storage {
        case .int64(let number): self = .integer(number)
        case .blob(let data): self = .bytes(ByteBuffer(data: data))
        case .null, .double, .string: self = .null
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
