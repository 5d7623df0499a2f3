extension GatewayConfiguration {
    /// The database of a site: beside memcached, or alone.
    package struct Database: Sendable, Equatable {
        /// Nil without servers: a file in the state directory. Nil with servers: none.
        package var url: DatabaseURL?
        package var connections = 4
        package var connectTimeout: Duration = .seconds(2)
        package var statementTimeout: Duration = .seconds(2)
        package var synchronous: Synchronous = .normal
        package var migrate: Migrate = .auto
        package var syncInterval: Duration = .seconds(120)
        package var syncsNew = false
        /// Bytes of sessions that wait for the database.
        package var syncQueue = 64 * 1_024 * 1_024
        package var reapInterval: Duration = .seconds(60)
        package var reapAfter: Duration = .seconds(1_800)
        /// The file for a line about each session that has ended.
        package var sessionLog: String?

        package init() {}
    }

    /// What a commit of SQLite's waits for.
    package enum Synchronous: String, Sendable, CaseIterable {
        case off, normal, full
    }

    /// When the tables are made and changed.
    package enum Migrate: String, Sendable, CaseIterable {
        /// At the start.
        case auto
        /// By `session-gateway database migrate`.
        case manual
    }

    /// Where a database is. Shown without its password.
    package struct DatabaseURL: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
        CustomReflectable
    {
        package static let schemes = ["sqlite:/", "postgresql://", "postgres://", "mariadb://", "mysql://"]

        package let text: String

        /// - Returns: nil where it begins with none of the schemes.
        package init?(_ text: String) {
            guard let scheme = Self.schemes.first(where: { text.hasPrefix($0) }), text.utf8.count > scheme.utf8.count,
                text.utf8.count <= 4_096, text.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else { return nil }
            self.text = text
        }

        /// A user's password, and all of a query that has one, are left out.
        package var description: String {
            guard !self.text.hasPrefix("sqlite:"), let start = self.text.firstRange(of: "://")?.upperBound else {
                return self.text
            }
            var shown = self.text
            if let question = shown.firstIndex(of: "?"), shown[question...].contains("pass") {
                shown = shown[..<question] + "?redacted"
            }
            let authority = shown[start...].prefix { $0 != "/" }
            if let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") {
                shown = shown[..<colon] + ":redacted" + shown[at...]
            }
            return shown
        }

        package var debugDescription: String { self.description }
        package var customMirror: Mirror { Mirror(self, children: []) }
    }
}
