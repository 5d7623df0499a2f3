import CPostgreSQL

extension PostgreSQLConnection {
    /// By libpq's pipeline: all of them are sent before the first answer is read.
    func execute(_ sql: String, each values: [[SQLValue]]) throws(DatabaseError) -> [Int] {
        guard let first = values.first else { return [] }
        let name = try self.name(of: sql, first)
        guard PQenterPipelineMode(self.handle) == 1 else { throw self.lost() }
        for values in values { try self.send(name, values) }
        guard PQpipelineSync(self.handle) == 1 else { throw self.lost() }
        var counts: [Int] = []
        var failure: DatabaseError?
        for _ in values {
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
