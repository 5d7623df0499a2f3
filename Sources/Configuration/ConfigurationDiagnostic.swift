/// Something to tell about a configuration. Never contains a secret.
package struct ConfigurationDiagnostic: Sendable, Hashable, CustomStringConvertible {
    package enum Severity: String, Sendable {
        case error, warning
    }

    package var severity: Severity
    /// The file's name as it was given.
    package var source: String
    package var origin: ConfigurationOrigin
    package var message: String

    /// `gateway.yaml:12:5: error: …`
    package var description: String {
        switch self.origin {
        case .position(let line, let column):
            "\(self.source):\(line):\(column): \(self.severity.rawValue): \(self.message)"
        case .argument(let option):
            "\(self.severity.rawValue): \(option): \(self.message)"
        case .unknown:
            "\(self.source): \(self.severity.rawValue): \(self.message)"
        }
    }
}

/// A configuration that cannot be used, with everything that is wrong with it.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// At least one of them is an error.
    package let diagnostics: [ConfigurationDiagnostic]

    package init(diagnostics: [ConfigurationDiagnostic]) {
        self.diagnostics = diagnostics
    }

    /// One line for each.
    package var description: String {
        self.diagnostics.map(\.description).joined(separator: "\n")
    }
}

/// What became of a configuration: the value if it has no error, and everything there is to say about it, in the order
/// of the file.
package struct ConfigurationResult: Sendable {
    package let configuration: GatewayConfiguration?
    package let diagnostics: [ConfigurationDiagnostic]

    package var warnings: [ConfigurationDiagnostic] { self.diagnostics.filter { $0.severity == .warning } }

    package func get() throws(ConfigurationError) -> GatewayConfiguration {
        guard let configuration = self.configuration else {
            throw ConfigurationError(diagnostics: self.diagnostics)
        }
        return configuration
    }
}
