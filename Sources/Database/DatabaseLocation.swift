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

    /// - Throws: what is wrong with the text, without a part of it.
    package init(_ text: String) throws(DatabaseError) {
        if text.hasPrefix("sqlite:/") {
            self.kind = .sqlite(path: String(text.dropFirst("sqlite:".count)))
        } else if text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") {
            self.kind = .postgreSQL(try PostgreSQLLocation(uri: text))
        } else if text.hasPrefix("mariadb://") || text.hasPrefix("mysql://") {
            self.kind = .mariaDB(try MariaDBLocation(uri: text))
        } else {
            throw DatabaseError(.refused, "is neither sqlite:/path, postgresql://… nor mariadb://…")
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
    /// - Throws: what is wrong with the text, without a part of it.
    init(uri text: String) throws(DatabaseError) {
        guard let start = text.firstRange(of: "://") else { throw .noLocation("has no ://") }
        var rest = text[start.upperBound...]
        var socket: String?
        if let question = rest.firstIndex(of: "?") {
            for pair in rest[rest.index(after: question)...].split(separator: "&") {
                guard pair.hasPrefix("socket=") else { throw .noLocation("may have ?socket=/path, and nothing else") }
                socket = try Self.decoded(pair.dropFirst(7))
                guard socket?.hasPrefix("/") == true else { throw .noLocation("socket= is not followed by a path") }
            }
            rest = rest[..<question]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let database = try Self.decoded(rest[slash...].dropFirst())
        guard !database.isEmpty else { throw .noLocation("names no database: mariadb://user:password@host/DATABASE") }
        guard !database.contains("/") else {
            throw .noLocation("names no database: a / in a user's name or a password is written as %2F")
        }
        self.init(database: database)
        self.socket = socket
        var authority = rest[..<slash]
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            self.user = try Self.decoded(parts[0])
            if parts.count == 2 { self.password = try Self.decoded(parts[1]) }
            authority = authority[authority.index(after: at)...]
        }
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let port = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(port) else {
                throw .badPort
            }
            self.port = port
            authority = authority[..<colon]
        }
        if authority.hasPrefix("["), authority.hasSuffix("]") { authority = authority.dropFirst().dropLast() }
        guard !authority.isEmpty || socket != nil else { throw .noLocation("names no host, and no ?socket=/path") }
        self.host = authority.isEmpty ? nil : String(authority)
    }

    private static func decoded(_ text: Substring) throws(DatabaseError) -> String {
        guard let decoded = PercentEncoding.decode(text), !decoded.utf8.contains(0) else {
            throw .noLocation("has a % that two hexadecimal digits do not follow; % itself is written as %25")
        }
        return decoded
    }
}

extension DatabaseError {
    static func noLocation(_ message: String) -> DatabaseError { DatabaseError(.refused, message) }

    static let badPort = Self.noLocation("has a port that is not a number from 1 to 65535")
}
