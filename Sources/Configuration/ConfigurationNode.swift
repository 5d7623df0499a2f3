/// A configuration before it has a meaning: scalars, lists and mappings that know where they stand.
///
/// Made from YAML by `YAMLReader` and from arguments by `GatewayConfiguration.commandLine`, so that both are read and
/// checked by the same table of keys.
struct ConfigurationNode: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var key: String
        var keyOrigin: ConfigurationOrigin
        var value: ConfigurationNode
    }

    enum Content: Sendable, Equatable {
        /// Nothing stands behind the key.
        case empty
        case scalar(String, isQuoted: Bool)
        case list([ConfigurationNode])
        case mapping([Entry])
    }

    var content: Content
    var origin: ConfigurationOrigin

    init(_ content: Content, at origin: ConfigurationOrigin) {
        self.content = content
        self.origin = origin
    }

    /// What it is, for errors.
    var kind: String {
        switch self.content {
        case .empty: "nothing"
        case .scalar: "a single value"
        case .list: "a list"
        case .mapping: "a mapping"
        }
    }

    func entry(_ key: String) -> Entry? {
        guard case .mapping(let entries) = self.content else { return nil }
        return entries.first { $0.key == key }
    }
}

/// Where a value was written.
package enum ConfigurationOrigin: Sendable, Hashable {
    /// Both count from 1.
    case position(line: Int, column: Int)
    /// An option of the command line, as `--listen`.
    case argument(String)
    case unknown
}
