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
        /// What is shown.
        package let description: String

        package struct Problem: Error, Equatable {
            /// Without the text, which may hold a password.
            package let message: String
        }

        /// Knows where a user and a password end, and leaves everything else to the database's own library.
        package init(_ text: String) throws(Problem) {
            guard let scheme = Self.schemes.first(where: { text.hasPrefix($0) }), text.utf8.count > scheme.utf8.count,
                text.utf8.count <= 4_096, text.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else { throw Problem(message: "is neither sqlite:/path, postgresql://… nor mariadb://…") }
            self.text = text
            guard scheme != "sqlite:/" else {
                self.description = text
                return
            }
            let rest = text.dropFirst(scheme.count)
            let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            let place = parts[0].split(separator: "@", omittingEmptySubsequences: false)
            guard place.count <= 2, place.count == 1 || !place[0].contains("/"),
                parts.count == 1 || !parts[1].contains("@"), Self.isPercentEncoded(text)
            else {
                throw Problem(
                    message: """
                        cannot be understood: in a user's name, a password or a value, / ? @ and % are written as %2F, \
                        %3F, %40 and %25
                        """
                )
            }
            var shown = scheme + parts[0]
            if place.count == 2, let colon = place[0].firstIndex(of: ":") {
                shown = scheme + place[0][..<colon] + ":redacted@" + place[1]
            }
            if parts.count == 2 {
                shown += "?" + parts[1].split(separator: "&").map(Self.shown).joined(separator: "&")
            }
            self.description = shown
        }

        private static func isPercentEncoded(_ text: String) -> Bool {
            text.split(separator: "%", omittingEmptySubsequences: false).dropFirst().allSatisfy { rest in
                rest.prefix(2).filter(\.isHexDigit).count == 2
            }
        }

        /// Only values that are known to be no secrets.
        private static func shown(_ parameter: Substring) -> String {
            let name = parameter.prefix { $0 != "=" }
            let harmless = ["socket", "host", "hostaddr", "port", "dbname", "user", "sslmode", "connect_timeout"]
            return harmless.contains(String(name)) ? String(parameter) : "redacted"
        }

        package var debugDescription: String { self.description }
        package var customMirror: Mirror { Mirror(self, children: []) }
    }
}
