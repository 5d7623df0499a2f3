import Configuration
import Database
import Logging
import Sessions
import Store
import Synchronization

/// What a site has beside memcached, or instead of it.
enum SiteTier: Sendable {
    case alone(DatabaseStore.Shared)
    case beside(DatabaseTier)

    var database: any SessionDatabase {
        switch self {
        case .alone(let shared): shared.database
        case .beside(let tier): tier.database
        }
    }

    /// Nil where the database is all there is.
    var besideMemcached: DatabaseTier? {
        if case .beside(let tier) = self { tier } else { nil }
    }

    /// Nil where there is memcached.
    var alone: DatabaseStore.Shared? {
        if case .alone(let shared) = self { shared } else { nil }
    }

    var reaperFigures: ReaperFigures {
        switch self {
        case .alone(let shared): shared.reaperFigures
        case .beside(let tier): tier.reaperFigures
        }
    }

    var configuration: TierConfiguration {
        switch self {
        case .alone(let shared): shared.configuration
        case .beside(let tier): tier.configuration
        }
    }
}

extension Site {
    /// The site's sessions over its memcacheds.
    func storage(over replicas: SessionStore) -> any SessionStorage {
        if case .beside(let tier) = self.tier { HybridStore(replicas: replicas, tier: tier) } else { replicas }
    }
}

extension GatewayConfiguration.Site {
    /// - Parameter source: memcached, where the site has it.
    func reaper(_ tier: SiteTier, source: ReplicaPool?, logger: Logger) -> Reaper {
        let log = self.database.sessionLog.flatMap { SessionLog(path: $0) }
        if let path = self.database.sessionLog, log == nil {
            logger.error("session_log: the file cannot be opened", metadata: .of([.path: path]))
        }
        return Reaper(
            database: tier.database,
            configuration: tier.configuration,
            source: source,
            tier: tier.besideMemcached,
            sessionLog: log,
            site: self.storeName,
            logger: logger,
            figures: tier.reaperFigures
        )
    }
}

/// The databases of one configuration: each opened once, whichever sites are in it.
final class SiteDatabases: Sendable {
    private struct Opened {
        var database: any SessionDatabase
        var location: DatabaseLocation
        var migrates: Bool
        /// Whether a site has nothing else: it cannot start without it.
        var isAlone: Bool
    }

    private struct State {
        var opened: [String: Opened] = [:]
        /// By the name of the site that the sessions belong to.
        var tiers: [String: SiteTier] = [:]
        /// Likewise, the URLs of its databases.
        var urls: [String: String] = [:]
    }

    private let stateDirectory: String
    private let makesFiles: Bool
    private let logger: Logger
    private let state = Mutex(State())
    /// Of the configuration before, by the name of the site, with its database's URL.
    private let predecessors: [String: (tier: SiteTier, url: String?)]

    /// - Parameters:
    ///   - previous: those of the configuration that this one follows.
    ///   - makesFiles: whether SQLite's files are made where they are missing.
    init(
        _ configuration: GatewayConfiguration,
        after previous: SiteDatabases? = nil,
        makesFiles: Bool = true,
        logger: Logger
    ) {
        self.stateDirectory = configuration.stateDirectory
        self.makesFiles = makesFiles
        self.logger = logger
        self.predecessors =
            previous?.state.withLock { state in
                Dictionary(uniqueKeysWithValues: state.tiers.map { ($0, (tier: $1, url: state.urls[$0])) })
            } ?? [:]
    }

    /// - Returns: nil where the site has no database.
    /// - Throws: where the file cannot be opened.
    func tier(of site: GatewayConfiguration.Site) throws(GatewayError) -> SiteTier? {
        if site.hasServers, site.database.url == nil { return nil }
        if let tier = self.state.withLock({ $0.tiers[site.storeName] }) { return tier }
        guard let keyspace = SessionKeyspace(prefix: site.prefix, site: site.storeName) else {
            throw GatewayError("site \(site.name): 'prefix' and the site's name make no key")
        }
        var configuration = TierConfiguration(
            keyspace: keyspace,
            idleLifetime: site.idleLifetime,
            absoluteLifetime: site.absoluteLifetime
        )
        configuration.servesDegraded = site.whenDegraded == .serve
        configuration.syncInterval = site.database.syncInterval
        configuration.syncsNew = site.database.syncsNew
        configuration.queueSize = site.database.syncQueue
        configuration.reapInterval = site.database.reapInterval
        configuration.minimumReapAfter = site.database.reapAfter
        configuration.unknownIDs = site.unknownIDs
        configuration.tombstonesUntil = site.tombstonesUntil
        configuration.migrates = site.database.migrate == .auto
        let database = try self.database(of: site)
        var siteLogger = self.logger
        siteLogger[.site] = site.storeName
        let url = self.url(of: site)
        let predecessor = self.predecessors[site.storeName].flatMap {
            $0.tier.configuration.keyspace == keyspace ? $0 : nil
        }
        let tier: SiteTier
        if site.hasServers {
            // Also into another database: the rows are to go where the sessions are from now on.
            tier = .beside(
                DatabaseTier(
                    database: database,
                    configuration: configuration,
                    after: predecessor?.tier.besideMemcached,
                    logger: siteLogger
                )
            )
        } else {
            let shared = predecessor.flatMap { $0.url == url ? $0.tier.alone : nil }
            tier = .alone(DatabaseStore.Shared(database: database, configuration: configuration, after: shared))
        }
        self.state.withLock { state in
            state.tiers[site.storeName] = tier
            state.urls[site.storeName] = url
        }
        return tier
    }

    private func url(of site: GatewayConfiguration.Site) -> String {
        site.database.url?.text ?? "sqlite:\(self.stateDirectory)/sessions.sqlite"
    }

    private func database(of site: GatewayConfiguration.Site) throws(GatewayError) -> any SessionDatabase {
        let url = self.url(of: site)
        if let opened = self.state.withLock({ $0.opened[url] }) { return opened.database }
        do throws(DatabaseError) {
            let location = try DatabaseLocation(url)
            var configuration = DatabaseConfiguration(location: location)
            configuration.connections = site.database.connections
            configuration.connectTimeout = site.database.connectTimeout
            configuration.statementTimeout = site.database.statementTimeout
            configuration.synchronous = SQLiteSynchronous(rawValue: site.database.synchronous.rawValue) ?? .normal
            let database = try configuration.open(makesFile: self.makesFiles)
            let opened = Opened(
                database: database,
                location: location,
                migrates: site.database.migrate == .auto,
                isAlone: !site.hasServers
            )
            self.state.withLock { $0.opened[url] = opened }
            return database
        } catch {
            throw GatewayError("site \(site.name): database: \(error)")
        }
    }

    /// Makes the tables, or looks whether they are there.
    func prepare() async throws(GatewayError) {
        for opened in self.state.withLock({ Array($0.opened.values) }) {
            do throws(DatabaseError) {
                if opened.migrates {
                    try await opened.database.migrate()
                } else {
                    try await opened.database.checkSchema()
                }
            } catch {
                // Sessions go on in memcached; a server that comes later is looked at then.
                guard opened.isAlone || error.code == .schema else {
                    self.logger.warning(
                        "the database does not answer; sessions are in memcached alone",
                        metadata: .of([.path: "\(opened.location)", .error: "\(error)"])
                    )
                    continue
                }
                throw GatewayError("database: \(error)")
            }
            self.logger.notice("sessions are kept in a database", metadata: .of([.path: "\(opened.location)"]))
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
                throw GatewayError("database: \(error)")
            }
        }
        return migrations
    }

    /// Writes what waits and ends the connections.
    func close() async {
        for tier in self.state.withLock({ Array($0.tiers.values) }) {
            switch tier {
            case .alone(let shared):
                await shared.writeTouches(logger: self.logger)
                shared.report(self.logger)
            case .beside(let tier): await tier.flushAtEnd()
            }
        }
        await self.end()
    }

    /// Ends the connections.
    func end() async {
        for opened in self.state.withLock({ Array($0.opened.values) }) { await opened.database.close() }
    }
}

extension GatewayProgram {
    /// What is wrong with a database's URL, nil if nothing is, without a part of it: for the configuration's check.
    package static func databaseProblem(_ url: String) -> String? {
        do throws(DatabaseError) {
            _ = try DatabaseLocation(url)
            return nil
        } catch {
            return error.message
        }
    }
}

extension Generation {
    /// What runs beside the requests of the sites that have a database, until it is cancelled.
    /// - Parameter stores: those in memcached, on the event loop that this runs on.
    func accompanyDatabases(in group: inout DiscardingTaskGroup, stores: [(site: Site, store: SessionStore)]) {
        var started: Set<String> = []
        for site in self.sites {
            guard let tier = site.tier, started.insert(site.configuration.storeName).inserted else { continue }
            let store = stores.first { $0.site.configuration.storeName == site.configuration.storeName }?.store
            let reaper = site.configuration.reaper(tier, source: store?.pool, logger: site.logger)
            group.addTask { await reaper.run() }
            switch tier {
            case .alone(let shared):
                group.addTask { await shared.run(logger: site.logger) }
            case .beside(let tier):
                guard let store else { continue }
                group.addTask { await tier.run(replicas: store) }
            }
        }
    }
}
