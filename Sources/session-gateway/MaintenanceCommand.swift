import ArgumentParser
import Configuration
import Logging

/// What the commands about the stored sessions of a site have in common.
enum MaintenanceCommand {
    /// - Throws: `ExitCode`, after a message.
    static func site(config: String, name: String?) throws -> GatewayConfiguration.Site {
        do {
            return try SiteSource(file: config, site: name).load()
        } catch let error as ValidationError {
            // Thrown on, it would be told with the usage of the whole program.
            StandardError.write(["Error: \(error.message)"])
            throw ExitCode.validationFailure
        }
    }

    /// Warnings alone: what is available is in the report.
    static var logger: Logger {
        var logger = Logger(label: "session-gateway") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        return logger
    }

    /// - Throws: `ExitCode`, after a message about any other error.
    static func perform<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as ExitCode {
            throw error
        } catch {
            StandardError.write(["session-gateway: \(error)"])
            throw ExitCode(1)
        }
    }
}
