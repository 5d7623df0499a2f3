import CPostgreSQL
import Glibc
import NIOCore

/// A connection of libpq's, without its blocking calls: every wait has a deadline, so a server that has stopped costs one
/// time-out and the connection.
///
/// `@unchecked Sendable`: one thread at a time uses it, as the pool sees to.
final class PostgreSQLConnection: ServerConnection, @unchecked Sendable {
    private static let integerType = Oid(20)
    private static let bytesType = Oid(17)

    private(set) var handle: OpaquePointer?
    private let statementTimeout: Duration
    /// The names of the prepared statements, by their text.
    private var prepared: [String: String] = [:]

    private(set) var isUsable = true

    init(_ location: PostgreSQLLocation, connectTimeout: Duration, statementTimeout: Duration) throws(DatabaseError) {
        self.statementTimeout = statementTimeout
        try self.connect(location, deadline: .now + connectTimeout)
        do throws(DatabaseError) {
            // The server ends by itself what the client has given up, and what a client left that is frozen or gone without a
            // word, its lock as the leader too. A connection that has been idle for too long is replaced by the next call.
            let milliseconds = Int(statementTimeout / .milliseconds(1))
            try self.run(
                """
                SET statement_timeout = \(milliseconds); SET lock_timeout = \(max(1, milliseconds / 2)); \
                SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
                SELECT set_config(name, '\(ServerLimits.idleSeconds * 1_000)', false) \
                FROM pg_settings WHERE name = 'idle_session_timeout'; \
                SET idle_in_transaction_session_timeout = \(milliseconds * 4); SET client_min_messages = warning; \
                SET default_transaction_isolation = 'read committed'
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
        if let handle { PQfinish(handle) }
        self.handle = nil
    }

    private func connect(
        _ location: PostgreSQLLocation,
        deadline: ContinuousClock.Instant
    ) throws(DatabaseError) {
        let keywords = ["dbname", "fallback_application_name", "client_encoding"]
        let values = [location.uri, "session-gateway", "UTF8"]
        let handle = keywords.withCStrings { keywords in
            values.withCStrings { values in PQconnectStartParams(keywords, values, 1) }
        }
        guard let handle else { throw DatabaseError(.unavailable, "PostgreSQL: out of memory") }
        self.handle = handle
        var state = PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
        while true {
            switch state {
            case PGRES_POLLING_OK:
                _ = PQsetnonblocking(handle, 1)
                return
            case PGRES_POLLING_READING, PGRES_POLLING_WRITING:
                do throws(DatabaseError) {
                    try self.wait(for: state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until: deadline)
                } catch {
                    self.close()
                    throw error.code == .timedOut
                        ? DatabaseError(.unavailable, "PostgreSQL: no connection in time") : error
                }
                state = PQconnectPoll(handle)
            default:
                let error = DatabaseError(.unavailable, "PostgreSQL: \(Self.text(PQerrorMessage(handle)))")
                self.close()
                throw error
            }
        }
    }

    // MARK: Statements

    func execute(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Int {
        let result = try self.perform(sql, values)
        defer { PQclear(result) }
        return Self.count(result)
    }

    /// The rows that a statement met.
    static func count(_ result: OpaquePointer?) -> Int { Int(self.text(PQcmdTuples(result))) ?? 0 }

    func insert(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> Bool {
        try self.execute(sql, values) > 0
    }

    func query(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> [[SQLValue]] {
        let result = try self.perform(sql, values)
        defer { PQclear(result) }
        let columns = PQnfields(result)
        var rows: [[SQLValue]] = []
        for row in 0..<PQntuples(result) {
            rows.append((0..<columns).map { Self.value(result, row, $0) })
        }
        return rows
    }

    /// A result's value in the binary format.
    private static func value(_ result: OpaquePointer?, _ row: Int32, _ column: Int32) -> SQLValue {
        guard PQgetisnull(result, row, column) == 0, let start = PQgetvalue(result, row, column) else { return .null }
        let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result, row, column)))
        switch (PQftype(result, column), bytes.count) {
        case (self.bytesType, _): return .bytes(ByteBuffer(bytes: bytes))
        case (_, 8): return .integer(Int64(bigEndian: bytes.loadUnaligned(as: Int64.self)))
        case (_, 4): return .integer(Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self))))
        case (_, 1): return .integer(bytes[0] == 0 ? 0 : 1)
        default: return .null
        }
    }

    func run(_ sql: String) throws(DatabaseError) {
        guard PQsendQuery(self.handle, sql) == 1 else { throw self.lost() }
        PQclear(try self.lastResult())
    }

    private func perform(_ sql: String, _ values: [SQLValue]) throws(DatabaseError) -> OpaquePointer? {
        try self.send(try self.name(of: sql, values), values)
        return try self.lastResult()
    }

    func send(_ name: String, _ values: [SQLValue]) throws(DatabaseError) {
        var storage: [UInt8] = []
        var ranges: [Range<Int>?] = []
        for value in values {
            let start = storage.count
            switch value {
            case .integer(let number):
                withUnsafeBytes(of: number.bigEndian) { storage.append(contentsOf: $0) }
                ranges.append(start..<storage.count)
            case .bytes(let bytes):
                storage.append(contentsOf: bytes.readableBytesView)
                ranges.append(start..<storage.count)
            case .null:
                ranges.append(nil)
            }
        }
        // An empty value needs an address too: without one it would be NULL.
        storage.append(0)
        let isSent = storage.withUnsafeBytes { storage in
            var pointers: [UnsafePointer<CChar>?] = []
            var lengths: [Int32] = []
            for range in ranges {
                let start = range.flatMap { range in storage.baseAddress.map { $0 + range.lowerBound } }
                pointers.append(start?.assumingMemoryBound(to: CChar.self))
                lengths.append(Int32(range?.count ?? 0))
            }
            let formats = [Int32](repeating: 1, count: ranges.count)
            return PQsendQueryPrepared(self.handle, name, Int32(ranges.count), pointers, lengths, formats, 1)
        }
        guard isSent == 1 else { throw self.lost() }
    }

    /// Of a statement that is prepared when it is first asked for.
    func name(of sql: String, _ values: [SQLValue]) throws(DatabaseError) -> String {
        if let name = self.prepared[sql] { return name }
        let name = "s\(self.prepared.count)"
        let types = values.map { value in
            switch value {
            case .integer, .null: Self.integerType
            case .bytes: Self.bytesType
            }
        }
        guard PQsendPrepare(self.handle, name, Self.numbered(sql), Int32(types.count), types) == 1 else {
            throw self.lost()
        }
        PQclear(try self.lastResult())
        self.prepared[sql] = name
        return name
    }

    /// `?` as `$1`, `$2`, …; the statements have none in a text.
    private static func numbered(_ sql: String) -> String {
        var number = 0
        return sql.reduce(into: "") { text, character in
            guard character == "?" else { return text.append(character) }
            number += 1
            text += "$\(number)"
        }
    }

    // MARK: Waiting

    /// Reads what the server answers up to its end.
    /// - Returns: the last result, which the caller clears.
    func lastResult() throws(DatabaseError) -> OpaquePointer? {
        let deadline = ContinuousClock.now + self.statementTimeout + .milliseconds(500)
        var last: OpaquePointer?
        var failure: DatabaseError?
        while true {
            try self.flush(until: deadline, last)
            while PQisBusy(self.handle) == 1 {
                do throws(DatabaseError) {
                    try self.wait(for: POLLIN, until: deadline)
                } catch {
                    PQclear(last)
                    self.close()
                    throw error
                }
                guard PQconsumeInput(self.handle) == 1 else {
                    PQclear(last)
                    throw self.lost()
                }
            }
            guard let result = PQgetResult(self.handle) else { break }
            PQclear(last)
            last = result
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_PIPELINE_SYNC: break
            default: failure = failure ?? self.error(of: result)
            }
        }
        if let failure {
            PQclear(last)
            if self.handle == nil || PQstatus(self.handle) == CONNECTION_BAD { self.close() }
            throw failure
        }
        return last
    }

    private func flush(until deadline: ContinuousClock.Instant, _ last: OpaquePointer?) throws(DatabaseError) {
        while true {
            switch PQflush(self.handle) {
            case 0: return
            case 1:
                do throws(DatabaseError) {
                    // The server may have to be listened to before it takes more.
                    try self.wait(for: POLLIN | POLLOUT, until: deadline)
                } catch {
                    PQclear(last)
                    self.close()
                    throw error
                }
                _ = PQconsumeInput(self.handle)
            default:
                PQclear(last)
                throw self.lost()
            }
        }
    }

    private func wait(for events: Int32, until deadline: ContinuousClock.Instant) throws(DatabaseError) {
        while true {
            let left = deadline - .now
            guard left > .zero else { throw DatabaseError(.timedOut, "PostgreSQL: no answer in time") }
            var descriptor = pollfd(fd: PQsocket(self.handle), events: Int16(events), revents: 0)
            let count = poll(&descriptor, 1, Int32(left / .milliseconds(1)) + 1)
            if count > 0 { return }
            if count < 0, errno != EINTR { throw self.lost() }
        }
    }

    // MARK: Errors

    func lost() -> DatabaseError {
        let text = self.handle.map { Self.text(PQerrorMessage($0)) } ?? "the connection is closed"
        self.close()
        return DatabaseError(.lost, "PostgreSQL: \(text)")
    }

    /// By SQLSTATE. The primary message alone: the details may hold values.
    private func error(of result: OpaquePointer) -> DatabaseError {
        let state = Self.text(PQresultErrorField(result, 67))
        let message = Self.text(PQresultErrorField(result, 77))
        let text = "PostgreSQL: \(message.isEmpty ? Self.text(PQerrorMessage(self.handle)) : message)"
        switch state {
        case "40001", "40P01": return DatabaseError(.conflict, text)
        case "55P03": return DatabaseError(.locked, text)
        case "57014": return DatabaseError(.timedOut, text)
        case "42P01", "42703", "3F000": return DatabaseError(.schema, text)
        case "": return DatabaseError(.lost, text)
        default: break
        }
        switch state.prefix(2) {
        case "08", "57":
            self.close()
            return DatabaseError(.lost, text)
        case "53", "58", "XX": return DatabaseError(.storage, text)
        default: return DatabaseError(.refused, text)
        }
    }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer else { return "" }
        let text = String(cString: pointer)
        return String(text.prefix { !$0.isNewline })
    }
}

extension [String] {
    /// The texts as C wants an array of them, with a null at its end.
    fileprivate func withCStrings<Result>(_ body: ([UnsafePointer<CChar>?]) -> Result) -> Result {
        func next(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Result {
            if index == self.count { return body(pointers + [nil]) }
            return self[index].withCString { next(index + 1, pointers + [$0]) }
        }
        return next(0, [])
    }
}
