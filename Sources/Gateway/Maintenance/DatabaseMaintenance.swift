package import Configuration
import Database

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
        let databases = SiteDatabases(configuration)
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
}
