import Logging

/// The only metadata keys that backends log with. A session id is a credential and therefore has no key.
enum LogKey: String {
    case backend = "gateway.backend"
    case error = "gateway.error"
    case process = "gateway.process"
}

extension Logger.Metadata {
    subscript(key key: LogKey) -> Logger.MetadataValue? {
        get { self[key.rawValue] }
        set { self[key.rawValue] = newValue }
    }

    static func backend(_ name: String, error: String? = nil) -> Logger.Metadata {
        var metadata: Logger.Metadata = [:]
        metadata[key: .backend] = .string(name)
        if let error { metadata[key: .error] = .string(error) }
        return metadata
    }
}
