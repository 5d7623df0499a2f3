/// How a database is used.
package struct DatabaseConfiguration: Sendable {
    package var location: DatabaseLocation
    /// Connections to a server, or readers of a file.
    package var connections = 4
    package var connectTimeout: Duration = .seconds(2)
    package var statementTimeout: Duration = .seconds(2)
    /// Of SQLite alone.
    package var synchronous: SQLiteSynchronous = .normal

    package init(location: DatabaseLocation) {
        self.location = location
    }

    /// Opens the file; a server is connected to when it is first asked.
    /// - Parameter makesFile: whether a file that is missing is made.
    /// - Throws: where the file cannot be opened.
    package func open(makesFile: Bool = true) throws(DatabaseError) -> any SessionDatabase {
        switch self.location.kind {
        case .sqlite(let path):
            SQLSessionDatabase(
                engine: try SQLiteEngine(
                    path: path,
                    isMade: makesFile,
                    synchronous: self.synchronous,
                    readers: self.connections,
                    busyTimeout: self.statementTimeout
                )
            )
        case .postgreSQL(let location):
            SQLSessionDatabase(
                engine: ConnectionPool(
                    driver: PostgreSQLDriver(
                        location: location,
                        connectTimeout: self.connectTimeout,
                        statementTimeout: self.statementTimeout
                    ),
                    connections: self.connections,
                    patience: self.statementTimeout
                )
            )
        case .mariaDB(let location):
            SQLSessionDatabase(
                engine: ConnectionPool(
                    driver: MariaDBDriver(
                        location: location,
                        connectTimeout: self.connectTimeout,
                        statementTimeout: self.statementTimeout
                    ),
                    connections: self.connections,
                    patience: self.statementTimeout
                )
            )
        }
    }
}
