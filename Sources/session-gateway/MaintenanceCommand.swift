import ArgumentParser
import Configuration
import Glibc
import Logging
import Store

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

    /// Prints the report and ends with its status.
    static func end(_ report: VerificationReport, verb: String) throws {
        for line in ReportText.lines(report, verb: verb) { print(line) }
        if report.hasUnreachableServers { throw ExitCode(2) }
        if !report.isInOrder { throw ExitCode(1) }
    }
}
