import ArgumentParser
import Configuration
import Gateway
import Logging

extension SessionGateway {
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the gateway.",
            usage: """
                session-gateway run --config <file>
                session-gateway run --listen <address> --backend <backend> [--servers <host:port,…>] [--redundancy <n>]
                """,
            discussion: """
                SIGTERM and SIGINT finish the requests in flight and exit with 0; a second one exits at once. SIGHUP \
                reads the configuration file anew; one with errors is refused and the old configuration stays.
                """
        )

        @Option(name: [.long, .short], help: "The configuration file.")
        var config: String?

        @Option(help: "Without a file: where nginx connects, unix:/path or host:port. May be repeated.")
        var listen: [String] = []

        @Option(help: "Without a file: fastcgi:unix:/path, fastcgi:host:port or cgi:DIRECTORY.")
        var backend: String?

        @Option(help: "Without a file: memcached servers, host:port,… Without them sessions are in a SQLite file.")
        var servers: String?

        @Option(help: "Without a file: copies of each session.")
        var redundancy: Int?

        func validate() throws {
            if self.config != nil {
                guard self.listen.isEmpty, self.backend == nil, self.servers == nil, self.redundancy == nil else {
                    throw ValidationError("With --config, everything else stands in the file.")
                }
            } else if self.listen.isEmpty || self.backend == nil {
                throw ValidationError("Either --config, or --listen and --backend are needed.")
            }
        }

        func run() async throws {
            let source = self.source
            let result = source.load()
            guard let configuration = result.configuration else {
                StandardError.write(result.diagnostics.map(\.description))
                throw ExitCode(1)
            }
            LoggingSystem.bootstrap { label in
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = configuration.logLevel.level
                return handler
            }
            let logger = Logger(label: "session-gateway")
            for warning in result.warnings {
                logger.warning("configuration", metadata: ["diagnostic": "\(warning)"])
            }
            // SIGHUP reads the file anew; without one there is nothing to read.
            let reload: @Sendable () -> GatewayConfiguration? = { source.reload(logger) }
            do {
                try await GatewayProgram.run(
                    configuration: configuration,
                    reload: self.config == nil ? nil : reload,
                    logger: logger
                )
            } catch {
                StandardError.write(["session-gateway: \(error)"])
                throw ExitCode(1)
            }
        }

        private var source: ConfigurationSource {
            if let config = self.config {
                return .file(config)
            }
            return .arguments(
                listen: self.listen,
                backend: self.backend ?? "",
                servers: self.servers,
                redundancy: self.redundancy
            )
        }
    }
}

extension GatewayConfiguration.LogLevel {
    var level: Logger.Level {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
    }
}
