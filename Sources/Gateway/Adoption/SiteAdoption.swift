import Adoption
import Configuration
import Glibc
import Logging
import Memcached
import NIOCore
import Sessions
import Store
import Synchronization

/// From where a site takes its visitors' sessions over; shared by all event loops.
final class SiteAdoption: Sendable {
    /// How a request learns what the old store has.
    private enum Place: Sendable {
        /// By event loop.
        case memcached(MemcachedSource.Configuration)
        case shared(any SessionSource)
    }

    private let place: Place
    let end: SessionRecord.Timestamp
    let lockTimeout: Duration
    let whenUnavailable: GatewayConfiguration.WhenOldStoreUnavailable
    let counters = Counters(AdoptionCounts())
    private let limit: Mutex<UnknownIDLimit>
    private let transitions = ServerTransitionLog()
    private let logger: Logger

    /// - Returns: nil where the site takes nothing over.
    static func make(_ site: GatewayConfiguration.Site, logger: Logger) throws(GatewayError) -> SiteAdoption? {
        guard let adoption = site.adoption, let until = adoption.until else { return nil }
        return SiteAdoption(
            adoption,
            until: until,
            unknownIDs: site.unknownIDs,
            place: try self.place(adoption, site, logger),
            logger: logger
        )
    }

    private init(
        _ adoption: GatewayConfiguration.Adoption,
        until: GatewayConfiguration.AdoptionEnd,
        unknownIDs: Int,
        place: Place,
        logger: Logger
    ) {
        self.place = place
        self.end = until.milliseconds
        self.lockTimeout = adoption.lockTimeout
        self.whenUnavailable = adoption.whenUnavailable
        self.limit = Mutex(UnknownIDLimit(perSecond: unknownIDs))
        self.logger = logger
    }

    private static func place(
        _ adoption: GatewayConfiguration.Adoption,
        _ site: GatewayConfiguration.Site,
        _ logger: Logger
    ) throws(GatewayError) -> Place {
        if let files = adoption.files {
            let owner = try self.owner(adoption.owner, site.name)
            if access(files.directory, X_OK) != 0 {
                logger.error(
                    "adopt: the sessions' directory is not there, or the gateway may not enter it",
                    metadata: .of([.path: files.directory])
                )
            }
            let configuration = FilesSource.Configuration(
                directory: SessionDirectory(path: files.directory, depth: files.depth),
                owner: owner,
                lifetime: adoption.lifetime,
                maximumSize: site.maximumSize,
                timeout: adoption.timeout
            )
            return .shared(FilesSource(configuration, logger: logger))
        }
        if let redis = adoption.redis {
            let configuration = RedisSource.Configuration(
                servers: redis.servers.map { RedisSource.Server($0, prefix: adoption.prefix) },
                maximumSize: site.maximumSize,
                timeout: adoption.timeout
            )
            return .shared(RedisSource(configuration, logger: logger))
        }
        let isMemcache = adoption.memcache != .none
        let ring = RingKind(adoption.ring ?? (isMemcache ? .peclCRC32 : .ketama))
        let servers = try StoreConfiguration.servers(
            of: isMemcache ? adoption.memcache : adoption.memcached,
            site.name,
            ring: ring
        )
        let configuration = MemcachedSource.Configuration(
            handler: isMemcache ? .memcache : .memcached,
            servers: servers.map { ($0.address, $0.ringServer) },
            ring: ring,
            redundancy: adoption.redundancy ?? (isMemcache ? 2 : 1),
            prefix: adoption.prefix ?? (isMemcache ? "" : "memc.sess.key."),
            maximumSize: site.maximumSize,
            timeout: adoption.timeout
        )
        guard let configuration else {
            throw GatewayError("site \(site.name): adopt: ring: PHP's handler has no such ring")
        }
        return .memcached(configuration)
    }

    private static func owner(_ name: String?, _ site: String) throws(GatewayError) -> uid_t {
        guard let name else { return geteuid() }
        if let user = getpwnam(name) { return user.pointee.pw_uid }
        guard let number = uid_t(name) else {
            throw GatewayError("site \(site): adopt: owner: there is no user \(name)")
        }
        return number
    }

    /// The old store as one event loop sees it, not started yet.
    func source(on eventLoop: any EventLoop) -> any SessionSource {
        switch self.place {
        case .shared(let source):
            source
        case .memcached(let configuration):
            MemcachedSource(configuration, eventLoop: eventLoop, logger: self.logger, transitions: self.transitions)
        }
    }

    // MARK: Unknown ids

    /// - Returns: nil where an id of this client's may not be looked for; else what is to be settled.
    func admit(_ client: ByteBufferView?) -> UnknownIDLimit.Look? {
        let look = self.limit.withLock { $0.admit(client, at: StoreClock.now) }
        if look == nil { self.counters.add(\.limited) }
        return look
    }

    func settle(_ look: UnknownIDLimit.Look, isKnown: Bool) {
        self.limit.withLock { $0.settle(look, isKnown: isKnown, at: StoreClock.now) }
    }
}

extension RedisSource.Server {
    fileprivate init(_ server: GatewayConfiguration.RedisServers.Server, prefix: String?) {
        let address: RedisSource.Address =
            switch server.address {
            case .tcp(let host, let port): .tcp(host: host, port: port)
            case .unix(let path): .unix(path: path)
            }
        self.init(
            address: address,
            weight: server.weight,
            database: server.database,
            prefix: server.prefix ?? prefix ?? "PHPREDIS_SESSION:",
            user: server.user,
            password: server.password
        )
    }
}
