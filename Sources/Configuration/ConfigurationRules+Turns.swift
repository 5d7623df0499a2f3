extension ConfigurationRules {
    /// - Parameter path: of the site.
    static func checkTurns(
        _ site: GatewayConfiguration.Site,
        _ path: String,
        _ reader: inout ConfigurationReader
    ) {
        guard site.concurrency == .serialize, !site.hasServers, let url = site.database.url,
            !url.text.hasPrefix("sqlite:")
        else { return }
        reader.add(
            .warning,
            """
            concurrency: without servers the turns are each gateway's own: where several share this database, requests of \
            one session may run at the same time
            """,
            at: reader.origin(path + ".concurrency")
        )
    }

    /// The requests of a session wait in one line, whichever of its sites they ask for.
    static func checkSharedTurns(_ configuration: GatewayConfiguration, _ reader: inout ConfigurationReader) {
        var first: [String: GatewayConfiguration.Site] = [:]
        for site in configuration.sites where site.concurrency == .serialize {
            let path = "sites.\(site.name)"
            guard let other = first[site.storeName] else {
                first[site.storeName] = site
                continue
            }
            for (key, value) in Self.turnLimits where value(site) != value(other) {
                let place = reader.isGiven("\(path).\(key)") ? key : "concurrency"
                reader.plainError(
                    """
                    \(key): is \(value(site)) here and \(value(other)) in site \(other.name.quoted), for the same sessions
                    """,
                    at: reader.origin("\(path).\(place)")
                )
            }
        }
    }

    private static var turnLimits: [(key: String, value: (GatewayConfiguration.Site) -> String)] {
        [
            ("max_waiting", { "\($0.maximumWaiting)" }),
            ("lock_timeout", { DurationText.render($0.lockTimeout) }),
        ]
    }
}
