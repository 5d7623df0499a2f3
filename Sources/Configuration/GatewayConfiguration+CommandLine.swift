extension GatewayConfiguration {
    /// The configuration without a file: one site named `default`.
    ///
    /// - Parameters:
    ///   - listen: addresses as in the file.
    ///   - backend: `fastcgi:unix:/path`, `fastcgi:host:port` or `cgi:DIRECTORY`.
    ///   - servers: memcached servers, separated by commas; none: the sessions are in a file in the state directory.
    ///   - redundancy: copies of each session.
    package static func commandLine(
        listen: [String],
        backend: String,
        servers: String? = nil,
        redundancy: Int? = nil,
        environment: [String: String] = [:]
    ) -> ConfigurationResult {
        var reader = ConfigurationReader(source: "command line")
        var site: [ConfigurationNode.Entry] = []
        site.append(Self.entry("backend", .mapping(Self.backendEntries(backend, &reader)), "--backend"))
        if let servers {
            let nodes = servers.split(separator: ",").map {
                ConfigurationNode(.scalar(String($0), isQuoted: true), at: .argument("--servers"))
            }
            site.append(Self.entry("servers", .list(nodes), "--servers"))
        }
        if let redundancy {
            site.append(Self.entry("redundancy", .scalar("\(redundancy)", isQuoted: false), "--redundancy"))
        }
        let listeners = listen.map { ConfigurationNode(.scalar($0, isQuoted: true), at: .argument("--listen")) }
        let root = ConfigurationNode(
            .mapping([
                Self.entry("listen", .list(listeners), "--listen"),
                Self.entry("sites", .mapping([Self.entry("default", .mapping(site), "--backend")]), "--backend"),
            ]),
            at: .unknown
        )
        return ConfigurationFile.read(root, reader, environment: environment)
    }

    private static func backendEntries(_ text: String, _ reader: inout ConfigurationReader) -> [ConfigurationNode.Entry]
    {
        for kind in ["fastcgi", "cgi"] where text.hasPrefix(kind + ":") {
            let value = String(text.dropFirst(kind.utf8.count + 1))
            return [Self.entry(kind, .scalar(value, isQuoted: true), "--backend")]
        }
        reader.plainError(
            "\(text.quoted) is neither fastcgi:unix:/path, fastcgi:host:port nor cgi:DIRECTORY",
            at: .argument("--backend")
        )
        return [Self.entry("fastcgi", .scalar("unix:/nowhere", isQuoted: true), "--backend")]
    }

    private static func entry(_ key: String, _ content: ConfigurationNode.Content, _ option: String)
        -> ConfigurationNode.Entry
    {
        ConfigurationNode.Entry(
            key: key,
            keyOrigin: .argument(option),
            value: ConfigurationNode(content, at: .argument(option))
        )
    }
}
