import CMariaDB
import Glibc
import NIOCore

/// A connection of MariaDB Connector/C's. Its calls wait, each at most for its time-out.
///
/// `@unchecked Sendable`: one thread at a time uses it, as the pool sees to.
final class MariaDBConnection: ServerConnection, @unchecked Sendable {
    private var handle: UnsafeMutablePointer<MYSQL>?
    /// By their text.
    private var prepared: [String: UnsafeMutablePointer<MYSQL_STMT>] = [:]

    private(set) var isUsable = true

    /// Not safe to be done by two threads at once.
    private static let library: Int32 = mysql_server_init(0, nil, nil)

    init(_ location: MariaDBLocation, connectTimeout: Duration, statementTimeout: Duration) throws(DatabaseError) {
        guard Self.library == 0, let handle = mysql_init(nil) else {
            throw DatabaseError(.unavailable, "MariaDB: the library cannot be used")
        }
        self.handle = handle
        // Whole seconds; the server's own limit, below, is the finer one.
        var connecting = UInt32(max(1, (connectTimeout / .seconds(1)).rounded(.up)))
        var answering = UInt32(max(1, (statementTimeout / .seconds(1)).rounded(.up)) + 1)
        mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &connecting)
        mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &answering)
        mysql_options(handle, MYSQL_OPT_WRITE_TIMEOUT, &answering)
        mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4")
        // Met rows, not only changed ones, are what an UPDATE tells then.
        let flags = UInt(CLIENT_FOUND_ROWS)
        guard
            mysql_real_connect(
                handle,
                location.socket == nil ? location.host : nil,
                location.user,
                location.password,
                location.database,
                UInt32(location.port),
                location.socket,
                flags
            ) != nil
        else {
            let error = DatabaseError(.unavailable, "MariaDB: \(String(cString: mysql_error(handle)))")
            self.close()
            throw error
        }
        do throws(DatabaseError) {
            let seconds = statementTimeout / .seconds(1)
            // A client that is frozen, or gone without a word, loses its transaction, and its lock as the leader. A connection
            // that has been idle for too long is replaced by the next call.
            try self.run(
                """
                SET SESSION max_statement_time = \(seconds), innodb_lock_wait_timeout = \(max(1, Int(seconds / 2))), \
                lock_wait_timeout = \(max(1, Int(seconds))), tx_isolation = 'READ-COMMITTED', \
                idle_transaction_timeout = \(max(1, Int(seconds * 4))), wait_timeout = \(ServerLimits.idleSeconds), \
                sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1
                """
            )
        } catch {
            self.close()
            throw error
        }
    }

    deinit { self.close() }

    func close() {
        self.isUsable = false
        for statement in self.prepared.values { mysql_stmt_close(statement) }
        self.prepared = [:]
        if let handle { mysql_close(handle) }
        self.handle = nil
    }

    // MARK: Statements

    func run(_ sql: String) throws(DatabaseError) {
        guard let handle, mysql_real_query(handle, sql, UInt(sql.utf8.count)) == 0 else {
            throw self.failure(nil)
        }
        if let result = mysql_store_result(handle) { mysql_free_result(result) }
    }

    func execute(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Int {
        let statement = try self.executed(sql, values)
        return Int(clamping: mysql_stmt_affected_rows(statement))
    }

    func insert(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Bool {
        let statement = try self.statement(sql)
        guard self.bindAndExecute(statement, values) else {
            if mysql_stmt_errno(statement) == UInt32(ER_DUP_ENTRY) { return false }
            throw self.failure(statement)
        }
        return true
    }

    func query(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> [[SQLValue]] {
        let statement = try self.executed(sql, values)
        guard mysql_stmt_store_result(statement) == 0 else { throw self.failure(statement) }
        defer { mysql_stmt_free_result(statement) }
        guard let metadata = mysql_stmt_result_metadata(statement) else { return [] }
        defer { mysql_free_result(metadata) }
        let columns = Int(mysql_num_fields(metadata))
        guard let fields = mysql_fetch_fields(metadata) else { return [] }
        let row = MariaDBRow(columns: (0..<columns).map { fields[$0] })
        guard mysql_stmt_bind_result(statement, row.bindings) == 0 else { throw self.failure(statement) }
        var rows: [[SQLValue]] = []
        while true {
            switch mysql_stmt_fetch(statement) {
            case 0: rows.append(row.values)
            case MYSQL_NO_DATA: return rows
            default: throw self.failure(statement)
            }
        }
    }

    private func executed(
        _ sql: String,
        _ values: [SQLValue]
    ) throws(DatabaseError) -> UnsafeMutablePointer<MYSQL_STMT> {
        let statement = try self.statement(sql)
        guard self.bindAndExecute(statement, values) else { throw self.failure(statement) }
        return statement
    }

    private func statement(_ sql: String) throws(DatabaseError) -> UnsafeMutablePointer<MYSQL_STMT> {
        if let statement = self.prepared[sql] { return statement }
        guard let handle, let statement = mysql_stmt_init(handle) else { throw self.failure(nil) }
        // So that a result's columns tell how much room they need.
        var isWanted: my_bool = 1
        mysql_stmt_attr_set(statement, STMT_ATTR_UPDATE_MAX_LENGTH, &isWanted)
        guard mysql_stmt_prepare(statement, sql, UInt(sql.utf8.count)) == 0 else {
            let error = self.failure(statement)
            mysql_stmt_close(statement)
            throw error
        }
        self.prepared[sql] = statement
        return statement
    }

    /// - Returns: false where it failed; the statement has the error.
    private func bindAndExecute(_ statement: UnsafeMutablePointer<MYSQL_STMT>, _ values: [SQLValue]) -> Bool {
        // The values lie still while the library reads them.
        let lengths = values.map { value in
            if case .bytes(let bytes) = value { bytes.readableBytes } else { MemoryLayout<Int64>.size }
        }
        let storage = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(8, lengths.reduce(0) { $0 + ($1 + 7) / 8 * 8 }),
            alignment: 8
        )
        defer { storage.deallocate() }
        var bindings: [MYSQL_BIND] = []
        var offset = 0
        for (value, length) in zip(values, lengths) {
            var binding = MYSQL_BIND()
            let place = UnsafeMutableRawBufferPointer(rebasing: storage[offset..<(offset + length)])
            offset += (length + 7) / 8 * 8
            switch value {
            case .integer(let number):
                place.storeBytes(of: number, as: Int64.self)
                binding.buffer_type = MYSQL_TYPE_LONGLONG
            case .bytes(let bytes):
                bytes.withUnsafeReadableBytes { place.copyMemory(from: $0) }
                binding.buffer_type = MYSQL_TYPE_LONG_BLOB
            case .null:
                binding.buffer_type = MYSQL_TYPE_NULL
            }
            binding.buffer = place.baseAddress ?? storage.baseAddress
            binding.buffer_length = UInt(length)
            bindings.append(binding)
        }
        return bindings.withUnsafeMutableBufferPointer { bindings in
            (bindings.isEmpty || mysql_stmt_bind_param(statement, bindings.baseAddress) == 0)
                && mysql_stmt_execute(statement) == 0
        }
    }

    // MARK: Errors

    /// Of the statement, else of the connection. The server's texts about the statements that are used here hold no values,
    /// but for that of a taken key, which nobody is shown.
    private func failure(_ statement: UnsafeMutablePointer<MYSQL_STMT>?) -> DatabaseError {
        guard let handle else { return DatabaseError(.unavailable, "MariaDB: the connection is closed") }
        let number = Int32(bitPattern: statement.map { mysql_stmt_errno($0) } ?? mysql_errno(handle))
        let text = "MariaDB: " + String(cString: statement.map { mysql_stmt_error($0) } ?? mysql_error(handle))
        let code: DatabaseError.Code
        switch number {
        case CR_SERVER_LOST, CR_SERVER_GONE_ERROR, CR_COMMANDS_OUT_OF_SYNC, CR_CONNECTION_ERROR, CR_UNKNOWN_ERROR,
            Int32(ER_SERVER_SHUTDOWN), Int32(ER_CONNECTION_KILLED), 2_000..<3_000:
            code = .lost
            self.isUsable = false
        case Int32(ER_LOCK_DEADLOCK), Int32(ER_CHECKREAD):
            code = .conflict
        case Int32(ER_LOCK_WAIT_TIMEOUT):
            code = .locked
        case Int32(ER_STATEMENT_TIMEOUT), Int32(ER_QUERY_INTERRUPTED):
            code = .timedOut
        case Int32(ER_NO_SUCH_TABLE), Int32(ER_BAD_FIELD_ERROR):
            code = .schema
        case Int32(ER_DISK_FULL), Int32(ER_RECORD_FILE_FULL), Int32(ER_ERROR_ON_WRITE), Int32(ER_OPEN_AS_READONLY),
            Int32(ER_CRASHED_ON_USAGE):
            code = .storage
        case Int32(ER_DUP_ENTRY):
            return DatabaseError(.refused, "MariaDB: a row is there already")
        default:
            code = .refused
        }
        return DatabaseError(code, text)
    }
}

/// Room for a row of a result.
private final class MariaDBRow {
    let bindings: UnsafeMutablePointer<MYSQL_BIND>
    private let count: Int
    private let lengths: UnsafeMutablePointer<UInt>
    private let nulls: UnsafeMutablePointer<my_bool>
    private let isBytes: [Bool]

    init(columns: [MYSQL_FIELD]) {
        self.count = columns.count
        self.bindings = .allocate(capacity: max(1, columns.count))
        self.lengths = .allocate(capacity: max(1, columns.count))
        self.nulls = .allocate(capacity: max(1, columns.count))
        self.isBytes = columns.map { column in
            switch column.type {
            case MYSQL_TYPE_TINY, MYSQL_TYPE_SHORT, MYSQL_TYPE_LONG, MYSQL_TYPE_INT24, MYSQL_TYPE_LONGLONG: false
            default: true
            }
        }
        for (index, column) in columns.enumerated() {
            let size = self.isBytes[index] ? max(1, Int(column.max_length)) : MemoryLayout<Int64>.size
            self.lengths[index] = 0
            self.nulls[index] = 0
            var binding = MYSQL_BIND()
            binding.buffer_type = self.isBytes[index] ? MYSQL_TYPE_LONG_BLOB : MYSQL_TYPE_LONGLONG
            binding.buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
            binding.buffer_length = UInt(size)
            binding.length = self.lengths + index
            binding.is_null = self.nulls + index
            (self.bindings + index).initialize(to: binding)
        }
    }

    deinit {
        for index in 0..<self.count { self.bindings[index].buffer.deallocate() }
        self.bindings.deallocate()
        self.lengths.deallocate()
        self.nulls.deallocate()
    }

    /// Of the row that was fetched last.
    var values: [SQLValue] {
        (0..<self.count).map { index in
            guard self.nulls[index] == 0, let buffer = self.bindings[index].buffer else { return .null }
            if self.isBytes[index] {
                return .bytes(
                    ByteBuffer(bytes: UnsafeRawBufferPointer(start: buffer, count: Int(self.lengths[index])))
                )
            }
            return .integer(buffer.load(as: Int64.self))
        }
    }
}
