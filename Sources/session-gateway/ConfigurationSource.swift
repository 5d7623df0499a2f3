import Configuration
import Gateway
import Glibc
import Logging

/// Where the configuration comes from: a file, or the command line alone.
enum ConfigurationSource: Sendable {
    case file(String)
    case arguments(listen: [String], backend: String, servers: String?, redundancy: Int?)

    func load() -> ConfigurationResult {
        switch self {
        case .file(let path):
            ConfigurationFile.load(
                path: path,
                environment: Self.environment,
                savePathProblem: GatewayProgram.savePathProblem,
                databaseProblem: GatewayProgram.databaseProblem
            )
        case .arguments(let listen, let backend, let servers, let redundancy):
            GatewayConfiguration.commandLine(
                listen: listen,
                backend: Self.absolute(backend),
                servers: servers,
                redundancy: redundancy,
                environment: Self.environment
            )
        }
    }

    /// Reads the configuration anew; nil where it has errors. They are logged, and so are warnings.
    func reload(_ logger: Logger) -> GatewayConfiguration? {
        let result = self.load()
        for diagnostic in result.diagnostics {
            let level: Logger.Level = diagnostic.severity == .error ? .error : .warning
            logger.log(level: level, "configuration", metadata: ["diagnostic": "\(diagnostic)"])
        }
        return result.configuration
    }

    /// What defaults come from.
    private static var environment: [String: String] {
        var environment: [String: String] = [:]
        for name in ["STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"] {
            if let value = getenv(name) {
                environment[name] = String(cString: value)
            }
        }
        return environment
    }

    /// A CGI directory on the command line may be relative to the working directory, as shells complete it.
    private static func absolute(_ backend: String) -> String {
        guard backend.hasPrefix("cgi:"), !backend.hasPrefix("cgi:/"), backend != "cgi:" else { return backend }
        guard let resolved = realpath(String(backend.dropFirst(4)), nil) else { return backend }
        defer { free(resolved) }
        return "cgi:" + String(cString: resolved)
    }
}
