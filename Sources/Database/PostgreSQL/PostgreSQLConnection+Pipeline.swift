import CPostgreSQL

extension PostgreSQLConnection {
    /// By libpq's pipeline: all of them are sent before the first answer is read.
    func execute(_ statements: [SQLStatement]) throws(DatabaseError) -> [Int] {
        guard statements.count > 1 else {
            return try statements.map { statement throws(DatabaseError) in
                try self.execute(statement.sql, statement.values)
            }
        }
        var names: [String] = []
        for statement in statements { names.append(try self.name(of: statement.sql, statement.values)) }
        guard PQenterPipelineMode(self.handle) == 1 else { throw self.lost() }
        for (name, statement) in zip(names, statements) { try self.send(name, statement.values) }
        guard PQpipelineSync(self.handle) == 1 else { throw self.lost() }
        var counts: [Int] = []
        var failure: DatabaseError?
        for _ in statements {
            do throws(DatabaseError) {
                let result = try self.lastResult()
                defer { PQclear(result) }
                counts.append(Self.count(result))
            } catch {
                // The others are answered too: that they were left out.
                guard self.isUsable else { throw error }
                failure = failure ?? error
            }
        }
        // Of the end of the pipeline.
        PQclear(try self.lastResult())
        guard PQexitPipelineMode(self.handle) == 1 else { throw self.lost() }
        if let failure { throw failure }
        return counts
    }
}
