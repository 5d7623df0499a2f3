package import Configuration
import Database
package import Logging
package import Store

/// The databases of a configuration for the commands that look after them, beside running gateways or without any.
package enum DatabaseMaintenance {
    package struct Migration: Sendable {
        package var name: String
        package var from: Int
        package var to: Int
    }

    /// Brings the tables of all of them to this program's version.
    ///
    /// - Throws: `GatewayError`, at the first that cannot be.
    package static func migrate(_ configuration: GatewayConfiguration) async throws -> [Migration] {
        let databases = SiteDatabases(configuration, logger: Logger(label: "session-gateway"))
        for site in configuration.sites { _ = try databases.tier(of: site) }
        do {
            let migrations = try await databases.migrate()
            await databases.end()
            return migrations
        } catch {
            await databases.end()
            throw error
        }
    }

    /// One pass of a site's reaper. Makes no database.
    /// - Parameter progress: rows so far, of how many, where they could be counted in time.
    /// - Throws: also where there is no file, or its tables are not this program's.
    package static func reap(
        _ configuration: GatewayConfiguration,
        site name: String,
        logger: Logger,
        progress: @escaping @Sendable (_ rows: Int, _ total: Int?) -> Void
    ) async throws -> ReaperReport {
        guard let site = configuration.sites.first(where: { $0.name == name }) else {
            throw GatewayError("there is no site \(name)")
        }
        let databases = SiteDatabases(configuration, makesFiles: false, logger: logger)
        guard let tier = try databases.tier(of: site) else { throw GatewayError("site \(name) has no database") }
        do {
            try await tier.database.checkSchema()
            let report: ReaperReport
            if site.hasServers {
                report = try await StoreMaintenance.withPool(of: site, logger: logger) { pool in
                    try await Self.readiness(of: pool)
                    return try await site.reaper(tier, source: pool, logger: logger).pass(progress: progress)
                }
            } else {
                report = try await site.reaper(tier, source: nil, logger: logger).pass(progress: progress)
            }
            await databases.end()
            return report
        } catch {
            await databases.end()
            throw error
        }
    }

    /// Waits for the connections, at most a second: rows of servers that are away stay as they are.
    private static func readiness(of pool: ReplicaPool) async throws {
        for _ in 0..<100 where !pool.isReady { try await Task.sleep(for: .milliseconds(10)) }
    }
}
