import Sessions

/// Runs work on connections to one database, on threads of its own.
protocol DatabaseEngine: Sendable {
    var dialect: SQLDialect { get }

    /// Outside of a transaction; may run beside writes.
    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result

    /// In a transaction. May be run again where the database says that another transaction was in the way, or where the
    /// connection was lost.
    /// - Parameter isDurable: flushed before it is acknowledged, whatever the database usually does.
    func write<Result: Sendable>(
        isDurable: Bool,
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result

    /// In a transaction in which nobody else migrates.
    func migrate(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Int
    ) async throws(DatabaseError) -> Int

    func lead(_ name: [UInt8]) async throws(DatabaseError) -> (any LeaderLease)?

    func close() async
}

/// `SessionDatabase` over any engine.
final class SQLSessionDatabase: SessionDatabase {
    private let engine: any DatabaseEngine

    init(engine: any DatabaseEngine) {
        self.engine = engine
    }

    func load(_ key: SessionKey) async throws(DatabaseError) -> SessionRow? {
        let dialect = self.engine.dialect
        return try await self.engine.read { connection throws(DatabaseError) in
            try SessionStatements(dialect: dialect, connection: connection).load(key)
        }
    }

    func apply(_ changes: [RowChange], isDurable: Bool) async throws(DatabaseError) -> [RowChangeResult] {
        guard !changes.isEmpty else { return [] }
        let dialect = self.engine.dialect
        let order =
            changes.count == 1
            ? [0]
            : changes.indices.sorted { changes[$0].key.bytes.lexicographicallyPrecedes(changes[$1].key.bytes) }
        return try await self.engine.write(isDurable: isDurable) { connection throws(DatabaseError) in
            let statements = SessionStatements(dialect: dialect, connection: connection)
            var results = [RowChangeResult](repeating: .refused(current: nil), count: changes.count)
            for index in order {
                results[index] = try statements.apply(changes[index])
            }
            return results
        }
    }

    func due(
        _ keyspace: SessionKeyspace,
        at now: SessionRecord.Timestamp,
        after cursor: DueCursor?,
        limit: Int
    ) async throws(DatabaseError) -> [DueRow] {
        let dialect = self.engine.dialect
        return try await self.engine.read { connection throws(DatabaseError) in
            try SessionStatements(dialect: dialect, connection: connection)
                .due(keyspace, at: now, after: cursor, limit: limit)
        }
    }

    func dueCount(_ keyspace: SessionKeyspace, at now: SessionRecord.Timestamp) async throws(DatabaseError) -> Int {
        let dialect = self.engine.dialect
        return try await self.engine.read { connection throws(DatabaseError) in
            try SessionStatements(dialect: dialect, connection: connection).dueCount(keyspace, at: now)
        }
    }

    func lead(_ keyspace: SessionKeyspace) async throws(DatabaseError) -> (any LeaderLease)? {
        try await self.engine.lead(keyspace.bytes)
    }

    func schemaVersion() async throws(DatabaseError) -> Int {
        let dialect = self.engine.dialect
        return try await self.engine.read { connection throws(DatabaseError) in
            try Schema.version(of: connection, dialect)
        }
    }

    func migrate() async throws(DatabaseError) -> Int {
        let dialect = self.engine.dialect
        return try await self.engine.migrate { connection throws(DatabaseError) in
            try Schema.migrate(connection, dialect)
        }
    }

    func close() async {
        await self.engine.close()
    }
}

extension SessionDatabase {
    /// - Throws: `schema`, where the tables are missing, older or newer than this program's.
    package func checkSchema() async throws(DatabaseError) {
        try Schema.check(try await self.schemaVersion())
    }
}
