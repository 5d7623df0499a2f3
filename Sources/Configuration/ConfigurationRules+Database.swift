extension ConfigurationRules {
    /// A database is opened once, whichever sites are in it: they cannot want it in different ways.
    static func checkDatabases(_ configuration: GatewayConfiguration, _ reader: inout ConfigurationReader) {
        var first: [String: GatewayConfiguration.Site] = [:]
        for site in configuration.sites where site.sessionsOf == nil && (!site.hasServers || site.database.url != nil) {
            let section = "sites.\(site.name).database"
            // The default's file is the same one as under its name.
            let place = site.database.url?.text ?? "sqlite:\(configuration.stateDirectory)/sessions.sqlite"
            guard !reader.hasFailed(section) else { continue }
            guard let other = first[place] else {
                first[place] = site
                continue
            }
            for (key, value) in Self.openingSettings where value(site.database) != value(other.database) {
                reader.plainError(
                    """
                    \(key): is \(value(site.database)) here and \(value(other.database)) in site \(other.name.quoted), for \
                    the same database
                    """,
                    at: reader.origin("\(section).\(key)")
                )
            }
        }
    }

    private static var openingSettings: [(key: String, value: (GatewayConfiguration.Database) -> String)] {
        [
            ("connections", { "\($0.connections)" }),
            ("connect_timeout", { DurationText.render($0.connectTimeout) }),
            ("statement_timeout", { DurationText.render($0.statementTimeout) }),
            ("synchronous", { $0.synchronous.rawValue }),
            ("migrate", { $0.migrate.rawValue }),
        ]
    }
}
