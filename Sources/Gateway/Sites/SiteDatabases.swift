import Configuration
import Database
import Logging
import Sessions
import Store
import Synchronization

/// What a site has beside memcached, or instead of it.
struct SiteTier: Sendable {
    let database: DatabaseStore.Shared
}

/// The databases of one configuration: each opened once, whichever sites are in it.
final class SiteDatabases: Sendable {
    private struct Opened {
        var database: any SessionDatabase
        var location: DatabaseLocation
        var migrates: Bool
    }

    private struct State {
        var opened: [String: Opened] = [:]
        /// By the name of the site that the sessions belong to.
        var tiers: [String: SiteTier] = [:]
    }

    private let stateDirectory: String
    private let state = Mutex(State())

    init(_ configuration: GatewayConfiguration) {
        self.stateDirectory = configuration.stateDirectory
    }

    /// - Returns: nil where the site has no database.
    /// - Throws: where the file cannot be opened.
    func tier(of site: GatewayConfiguration.Site) throws(GatewayError) -> SiteTier? {
        if site.hasServers, site.database.url == nil { return nil }
        if let tier = self.state.withLock({ $0.tiers[site.storeName] }) { return tier }
        guard let keyspace = SessionKeyspace(prefix: site.prefix, site: site.storeName) else {
            throw GatewayError("site \(site.name): 'prefix' and the site's name make no key")
        }
        let tier = SiteTier(
            database: DatabaseStore.Shared(
                database: try self.database(of: site),
                configuration: TierConfiguration(
                    keyspace: keyspace,
                    idleLifetime: site.idleLifetime,
                    absoluteLifetime: site.absoluteLifetime
                )
            )
        )
        self.state.withLock { $0.tiers[site.storeName] = tier }
        return tier
    }

    private func database(of site: GatewayConfiguration.Site) throws(GatewayError) -> any SessionDatabase {
        let url = site.database.url?.text ?? "sqlite:\(self.stateDirectory)/sessions.sqlite"
        if let opened = self.state.withLock({ $0.opened[url] }) { return opened.database }
        guard let location = DatabaseLocation(url) else {
            throw GatewayError("site \(site.name): database: the URL cannot be understood")
        }
        var configuration = DatabaseConfiguration(location: location)
        configuration.connections = site.database.connections
        configuration.connectTimeout = site.database.connectTimeout
        configuration.statementTimeout = site.database.statementTimeout
        configuration.synchronous = SQLiteSynchronous(rawValue: site.database.synchronous.rawValue) ?? .normal
        do throws(DatabaseError) {
            let database = try configuration.open()
            let opened = Opened(
                database: database,
                location: location,
                migrates: site.database.migrate == .auto
            )
            self.state.withLock { $0.opened[url] = opened }
            return database
        } catch {
            throw GatewayError("site \(site.name): database: \(error)")
        }
    }

    /// Makes the tables, or looks whether they are there.
    func prepare(logger: Logger) async throws(GatewayError) {
        for opened in self.state.withLock({ Array($0.opened.values) }) {
            do throws(DatabaseError) {
                if opened.migrates {
                    try await opened.database.migrate()
                } else {
                    try await opened.database.checkSchema()
                }
            } catch {
                throw GatewayError("database: \(error)")
            }
            logger.notice("sessions are kept in a database", metadata: .of([.path: "\(opened.location)"]))
        }
    }

    func migrate() async throws(GatewayError) -> [DatabaseMaintenance.Migration] {
        var migrations: [DatabaseMaintenance.Migration] = []
        for opened in self.state.withLock({ Array($0.opened.values) }) {
            do throws(DatabaseError) {
                let found = try await opened.database.migrate()
                let version = try await opened.database.schemaVersion()
                migrations.append(.init(name: "\(opened.location)", from: found, to: version))
            } catch {
                throw GatewayError("\(opened.location): \(error)")
            }
        }
        return migrations
    }

    /// Writes expiries that slid, until it is cancelled.
    func run(logger: Logger) async {
        await withDiscardingTaskGroup { group in
            for tier in self.state.withLock({ Array($0.tiers.values) }) {
                group.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: tier.database.touchInterval)
                        await Self.writeTouches(tier, logger)
                    }
                }
            }
        }
    }

    private static func writeTouches(_ tier: SiteTier, _ logger: Logger) async {
        do throws(DatabaseError) {
            try await tier.database.writeTouches()
        } catch {
            logger.warning("expiries could not be written; they wait", metadata: .of([.error: "\(error)"]))
        }
    }

    /// Writes what waits and ends the connections.
    func close(logger: Logger) async {
        let tiers = self.state.withLock { Array($0.tiers.values) }
        for tier in tiers { await Self.writeTouches(tier, logger) }
        await self.end()
    }

    /// Ends the connections.
    func end() async {
        for opened in self.state.withLock({ Array($0.opened.values) }) { await opened.database.close() }
    }
}

extension Generation {
    func accompanyDatabases(in group: inout DiscardingTaskGroup) {
        let databases = self.databases
        let logger = self.logger
        group.addTask { await databases.run(logger: logger) }
    }
}
