package import Sessions

/// The sessions in a database. Calls from anywhere; none waits on the caller's thread.
///
/// Errors mean that the database did not answer; a row that is not there is an answer. Tables that are missing, older or
/// newer than this program's are not touched: an error says so. After `unavailable` or `timedOut`
/// a change may have happened: it may be tried again, as every change says under which condition it applies.
package protocol SessionDatabase: Sendable {
    /// The row, also of an expired or destroyed session.
    func load(_ key: SessionKey) async throws(DatabaseError) -> SessionRow?

    /// All of them in one transaction, in the order of their keys, so that no two gateways wait for one another.
    /// - Parameter isDurable: whether they shall outlive a power cut once they are acknowledged, where the database would
    ///   otherwise flush them later.
    /// - Returns: in the order of the changes. Of each key at most one change that makes or saves its row.
    func apply(_ changes: [RowChange], isDurable: Bool) async throws(DatabaseError) -> [RowChangeResult]

    /// The next rows of a keyspace that are due, in the order of time and key.
    func due(
        _ keyspace: SessionKeyspace,
        at now: SessionRecord.Timestamp,
        after cursor: DueCursor?,
        limit: Int
    ) async throws(DatabaseError) -> [DueRow]

    /// How many rows of a keyspace are due.
    func dueCount(_ keyspace: SessionKeyspace, at now: SessionRecord.Timestamp) async throws(DatabaseError) -> Int

    /// Leads the reapers of a keyspace until the lease is given back, or its holder dies.
    /// - Returns: nil where another one leads.
    func lead(_ keyspace: SessionKeyspace) async throws(DatabaseError) -> (any LeaderLease)?

    /// The version of the tables; 0 where there are none.
    func schemaVersion() async throws(DatabaseError) -> Int

    /// Brings the tables to this program's version.
    /// - Returns: the version that was there before.
    @discardableResult
    func migrate() async throws(DatabaseError) -> Int

    /// Ends the connections once what is under way has ended.
    func close() async
}

/// A lock that one process holds at a time, and that the database takes back from a dead one.
package protocol LeaderLease: Sendable {
    /// Whether it is still held: a lost connection loses it.
    func isHeld() async -> Bool
    func giveBack() async
}

extension SessionDatabase {
    package func apply(_ changes: [RowChange]) async throws(DatabaseError) -> [RowChangeResult] {
        try await self.apply(changes, isDurable: false)
    }

    /// As `apply`; where one of them cannot be applied, in smaller and smaller transactions, so that a row that somebody has
    /// locked holds up no other. Every failure may have waited for a lock, so there is an end to that.
    /// - Returns: nil for what could not be applied.
    /// - Throws: where the database is away.
    package func applyEach(_ changes: [RowChange]) async throws(DatabaseError) -> [RowChangeResult?] {
        do throws(DatabaseError) {
            return try await self.apply(changes)
        } catch {
            guard error.concernsChanges, changes.count > 1 else { throw error }
        }
        var results = [RowChangeResult?](repeating: nil, count: changes.count)
        var parts = Self.parts(of: changes.indices)
        var failures = 0
        while failures < 8, !parts.isEmpty {
            let part = parts.removeFirst()
            do throws(DatabaseError) {
                for (index, result) in zip(part, try await self.apply(Array(changes[part]))) { results[index] = result }
            } catch {
                guard error.concernsChanges else { break }
                failures += 1
                // First the others.
                if part.count > 1 { parts += Self.parts(of: part) }
            }
        }
        return results
    }

    private static func parts(of range: Range<Int>) -> [Range<Int>] {
        let length = (range.count + 31) / 32
        return stride(from: range.lowerBound, to: range.upperBound, by: length).map { start in
            start..<Swift.min(start + length, range.upperBound)
        }
    }

    @discardableResult
    package func apply(
        _ change: RowChange,
        isDurable: Bool = false
    ) async throws(DatabaseError) -> RowChangeResult {
        try await self.apply([change], isDurable: isDurable)[0]
    }
}
