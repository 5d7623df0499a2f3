import Backends
import Configuration
import Logging
import NIOCore
import Store

/// One configuration in force: its sites and their backends, shared by all event loops. A reload makes another one; the
/// old one ends when its last request has.
final class Generation: Sendable {
    let configuration: GatewayConfiguration
    let sites: [Site]
    let table: SiteTable
    let logger: Logger
    let databases: SiteDatabases
    /// By the name of the site that the sessions belong to.
    let adoptions: [String: SiteAdoption]
    /// Likewise, of those whose requests wait for each other.
    private let turns: [String: SessionTurns]

    /// Opens the databases, and makes their tables or looks whether they are there.
    /// - Parameter previous: the one that it takes the place of: what waits for its databases goes over.
    /// - Throws: where it cannot be put in force; then nothing of it is left open.
    static func prepare(
        _ configuration: GatewayConfiguration,
        after previous: Generation? = nil,
        logger: Logger
    ) async throws(GatewayError) -> Generation {
        let databases = SiteDatabases(configuration, after: previous?.databases, logger: logger)
        do throws(GatewayError) {
            let generation = try Generation(configuration, after: previous, databases, logger: logger)
            try await databases.prepare()
            return generation
        } catch {
            await databases.end()
            throw error
        }
    }

    private init(
        _ configuration: GatewayConfiguration,
        after previous: Generation?,
        _ databases: SiteDatabases,
        logger: Logger
    ) throws(GatewayError) {
        self.configuration = configuration
        self.logger = logger
        self.table = SiteTable(configuration.sites)
        self.databases = databases
        var sites: [Site] = []
        // Sites that share their sessions share the turns too.
        var turns: [String: SessionTurns] = [:]
        for site in configuration.sites where site.concurrency == .serialize {
            if turns[site.storeName] == nil {
                // Of a reload's two generations, too, one request is at work on a session.
                turns[site.storeName] =
                    previous?.turns[site.storeName]
                    ?? SessionTurns(maximumWaiting: site.maximumWaiting, timeout: site.lockTimeout)
            }
        }
        self.turns = turns
        // And they take over from one store.
        var adoptions: [String: SiteAdoption] = [:]
        for site in configuration.sites where adoptions[site.storeName] == nil {
            var siteLogger = logger
            siteLogger[.site] = site.storeName
            adoptions[site.storeName] = try SiteAdoption.make(site, logger: siteLogger)
        }
        self.adoptions = adoptions
        for site in configuration.sites {
            var siteLogger = logger
            siteLogger[.site] = site.name
            sites.append(
                try Site(
                    site,
                    backend: try BackendFactory.backend(of: site, logger: siteLogger),
                    tier: try databases.tier(of: site),
                    turns: site.concurrency == .serialize ? turns[site.storeName] : nil,
                    adoption: adoptions[site.storeName],
                    counters: previous?.sites.first { $0.name == site.name }?.counters ?? StoreCounters(),
                    logger: logger
                )
            )
        }
        self.sites = sites
    }

    /// What it shares with the configuration before goes by this one from now on.
    func putInForce() {
        for site in self.configuration.sites where site.concurrency == .serialize {
            self.turns[site.storeName]?.setLimits(maximumWaiting: site.maximumWaiting, timeout: site.lockTimeout)
        }
    }

    /// Ends the backends and the databases; to be called once no request of this generation is under way.
    func shutDown() async {
        for site in self.sites {
            await site.backend.shutDown()
        }
        await self.databases.close()
    }

    /// Ends what was never in force: nothing waits to be written.
    func discard() async {
        for site in self.sites {
            await site.backend.shutDown()
        }
        await self.databases.end()
    }
}

/// A generation as one event loop sees it: its stores, and how many requests are under way in it. All on that loop.
///
/// `@unchecked Sendable`: bound to its event loop; every entry asserts that.
final class LoopGeneration: @unchecked Sendable {
    let shared: Generation
    let eventLoop: any EventLoop
    /// By site.
    let stores: [any SessionStorage]
    /// Those in memcached, each once, with the site that it is named after: sites may share their sessions
    /// (`sessions_of`).
    let ownStores: [(site: Site, store: SessionStore)]
    /// By site.
    let adoptions: [SessionAdoption?]
    /// Each once.
    private let ownAdoptions: [SessionAdoption]
    private var uses = 0
    private var isRetired = false
    private let drained: EventLoopPromise<Void>

    init(_ shared: Generation, eventLoop: any EventLoop) {
        eventLoop.assertInEventLoop()
        self.shared = shared
        self.eventLoop = eventLoop
        self.drained = eventLoop.makePromise()
        var ownStores: [(site: Site, store: SessionStore)] = []
        self.stores = shared.sites.map { site in
            if case .alone(let shared) = site.tier {
                return DatabaseStore(shared, eventLoop: eventLoop, logger: site.logger)
            }
            guard let configuration = site.store else {
                preconditionFailure("a site has servers or a database")
            }
            if let shared = ownStores.first(where: { $0.site.store?.keyspace == configuration.keyspace }) {
                return site.storage(over: shared.store)
            }
            let store = SessionStore(
                configuration: configuration,
                eventLoop: eventLoop,
                counters: site.counters,
                logger: site.logger
            )
            ownStores.append((site, store))
            return site.storage(over: store)
        }
        self.ownStores = ownStores
        var adoptions: [ObjectIdentifier: SessionAdoption] = [:]
        self.adoptions = shared.sites.map { site in
            guard let adoption = site.adoption else { return nil }
            if let known = adoptions[ObjectIdentifier(adoption)] { return known }
            let made = SessionAdoption(adoption, source: adoption.source(on: eventLoop), logger: site.logger)
            adoptions[ObjectIdentifier(adoption)] = made
            return made
        }
        self.ownAdoptions = Array(adoptions.values)
    }

    func start() {
        self.eventLoop.assertInEventLoop()
        for (_, store) in self.ownStores {
            store.pool.start()
        }
        for adoption in self.ownAdoptions { adoption.start() }
    }

    /// Whether every site's store can answer.
    var isReady: Bool {
        self.eventLoop.assertInEventLoop()
        return self.ownStores.allSatisfy { $0.store.pool.isReady } && self.ownAdoptions.allSatisfy(\.isReady)
    }

    /// A request, or a wait for its late answer, begins.
    func useBegan() {
        self.eventLoop.assertInEventLoop()
        self.uses += 1
    }

    func useEnded() {
        self.eventLoop.assertInEventLoop()
        self.uses -= 1
        self.completeIfDrained()
    }

    /// No request starts in it any more. The future succeeds when the last use has ended and the stores are closed.
    func retire() -> EventLoopFuture<Void> {
        self.eventLoop.assertInEventLoop()
        self.isRetired = true
        self.completeIfDrained()
        return self.drained.futureResult.flatMap {
            EventLoopFuture.andAllComplete(
                self.ownStores.map { $0.store.pool.close() }
                    + self.ownAdoptions.map { $0.close(on: self.eventLoop) },
                on: self.eventLoop
            )
        }
    }

    private func completeIfDrained() {
        // Once: a promise may not be fulfilled twice.
        guard self.isRetired, self.uses == 0 else { return }
        self.isRetired = false
        self.drained.succeed(())
    }
}
