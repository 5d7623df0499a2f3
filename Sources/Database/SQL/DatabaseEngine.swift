import Sessions
import Synchronization

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

/// `SessionDatabase` over any engine. Nothing is done before the tables' version was seen once: a database that is away when
/// the gateway starts is looked at when it first answers.
final class SQLSessionDatabase: SessionDatabase {
    private let engine: any DatabaseEngine
    private let isChecked = Atomic<Bool>(false)

    init(engine: any DatabaseEngine) {
        self.engine = engine
    }

    private func check() async throws(DatabaseError) {
        if self.isChecked.load(ordering: .relaxed) { return }
        try Schema.check(try await self.schemaVersion())
        self.isChecked.store(true, ordering: .relaxed)
    }

    func load(_ key: SessionKey) async throws(DatabaseError) -> SessionRow? {
        try await self.check()
        let dialect = self.engine.dialect
        return try await self.engine.read { connection throws(DatabaseError) in
            try SessionStatements(dialect: dialect, connection: connection).load(key)
        }
    }

    func apply(_ changes: [RowChange], isDurable: Bool) async throws(DatabaseError) -> [RowChangeResult] {
        guard !changes.isEmpty else { return [] }
        try await self.check()
        let dialect = self.engine.dialect
        let order =
            changes.count == 1
            ? [0]
            : changes.indices.sorted { changes[$0].key.bytes.lexicographicallyPrecedes(changes[$1].key.bytes) }
        return try await self.engine.write(isDurable: isDurable) { connection throws(DatabaseError) in
            let statements = SessionStatements(dialect: dialect, connection: connection)
            var results = [RowChangeResult](repeating: .refused(current: nil), count: changes.count)
            for (index, result) in zip(order, try statements.apply(order.map { changes[$0] })) {
                results[index] = result
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
        try await self.check()
        let dialect = self.engine.dialect
        return try await self.engine.read { connection throws(DatabaseError) in
            try SessionStatements(dialect: dialect, connection: connection)
                .due(keyspace, at: now, after: cursor, limit: limit)
        }
    }

    func dueCount(_ keyspace: SessionKeyspace, at now: SessionRecord.Timestamp) async throws(DatabaseError) -> Int {
        try await self.check()
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
