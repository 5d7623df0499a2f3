import Sessions

/// Where the sessions' database is.
///
/// `sqlite:/path`, a `postgresql://` URI as libpq takes it, or `mariadb://user:password@host:port/database`, which may have
/// `?socket=/path` for a unix socket. Prints without what may be secret.
package struct DatabaseLocation: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    enum Kind: Sendable {
        case sqlite(path: String)
        case postgreSQL(PostgreSQLLocation)
        case mariaDB(MariaDBLocation)
    }

    let kind: Kind

    package static func sqlite(path: String) -> DatabaseLocation { DatabaseLocation(kind: .sqlite(path: path)) }

    private init(kind: Kind) {
        self.kind = kind
    }

    /// - Returns: nil where the text is none of the three.
    package init?(_ text: String) {
        if text.hasPrefix("sqlite:/") {
            self.kind = .sqlite(path: String(text.dropFirst("sqlite:".count)))
        } else if text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") {
            self.kind = .postgreSQL(PostgreSQLLocation(connectionString: text))
        } else if text.hasPrefix("mariadb://") || text.hasPrefix("mysql://"), let location = MariaDBLocation(uri: text)
        {
            self.kind = .mariaDB(location)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self.kind {
        case .sqlite(let path): path
        case .postgreSQL: "PostgreSQL"
        case .mariaDB: "MariaDB"
        }
    }

    package var debugDescription: String { self.description }
}

extension MariaDBLocation {
    /// - Returns: nil where the text has another form, or names no database.
    init?(uri text: String) {
        guard let start = text.firstRange(of: "://") else { return nil }
        var rest = text[start.upperBound...]
        var socket: String?
        if let question = rest.firstIndex(of: "?") {
            for pair in rest[rest.index(after: question)...].split(separator: "&") {
                guard pair.hasPrefix("socket="), let path = PercentEncoding.decode(pair.dropFirst(7)),
                    path.hasPrefix("/")
                else {
                    return nil
                }
                socket = path
            }
            rest = rest[..<question]
        }
        guard let slash = rest.firstIndex(of: "/"),
            let database = PercentEncoding.decode(rest[rest.index(after: slash)...]),
            !database.isEmpty, !database.contains("/")
        else { return nil }
        self.init(database: database)
        self.socket = socket
        var authority = rest[..<slash]
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let user = PercentEncoding.decode(parts[0]) else { return nil }
            self.user = user
            if parts.count == 2 {
                guard let password = PercentEncoding.decode(parts[1]) else { return nil }
                self.password = password
            }
            authority = authority[authority.index(after: at)...]
        }
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let port = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(port) else {
                return nil
            }
            self.port = port
            authority = authority[..<colon]
        }
        if authority.hasPrefix("["), authority.hasSuffix("]") { authority = authority.dropFirst().dropLast() }
        guard !authority.isEmpty || socket != nil else { return nil }
        self.host = authority.isEmpty ? nil : String(authority)
    }
}
