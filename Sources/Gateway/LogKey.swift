import Logging

/// The only metadata keys the gateway logs with. Messages are constant; what varies goes here. A session id, a token
/// and a blob are credentials and therefore have no key.
enum LogKey: String {
    case address
    case backend
    case error
    case keys
    case loadedVersion = "loaded_version"
    case outcome
    case path
    case script
    case serverName = "server_name"
    case sessionSite = "session_site"
    case site
    case status
    case text
    case winningVersion = "winning_version"
}

extension Logger {
    subscript(key: LogKey) -> String? {
        get { self[metadataKey: key.rawValue].map { "\($0)" } }
        set { self[metadataKey: key.rawValue] = newValue.map { .string($0) } }
    }
}

extension Logger.Metadata {
    static func of(_ pairs: KeyValuePairs<LogKey, String>) -> Logger.Metadata {
        var metadata = Logger.Metadata()
        for (key, value) in pairs {
            metadata[key.rawValue] = .string(value)
        }
        return metadata
    }
}
