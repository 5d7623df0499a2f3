import Configuration
import Memcached
import Sessions
import Store

extension StoreConfiguration {
    /// The store of a site, nil where it has no servers.
    static func make(_ site: GatewayConfiguration.Site) throws(GatewayError) -> StoreConfiguration? {
        let ring = RingKind(site.ring)
        let servers = try Self.servers(of: site, ring: ring)
        guard !servers.isEmpty else { return nil }
        guard let keyspace = SessionKeyspace(prefix: site.prefix, site: site.storeName) else {
            throw GatewayError("site \(site.name): 'prefix' and the site's name make no key for memcached")
        }
        var store = StoreConfiguration(
            keyspace: keyspace,
            servers: servers,
            redundancy: site.redundancy,
            ring: ring,
            idleLifetime: site.idleLifetime,
            absoluteLifetime: site.absoluteLifetime
        )
        store.secret = site.secret?.text
        store.maximumItemAge = site.maximumItemAge
        store.loadTimeout = site.loadTimeout
        store.tombstonesUntil = site.tombstonesUntil
        store.servesDegraded = site.whenDegraded == .serve
        let previous = try Self.servers(of: site.previousServers, site.name, ring: ring)
        if !previous.isEmpty {
            store.previousRing = RingDescription(
                kind: ring,
                redundancy: site.redundancy,
                servers: previous.map(\.ringServer)
            )
        }
        if let directory = site.stateDirectory {
            store.memory = PoolMemory(
                path: "\(directory)/pool-\(site.storeName)-\(keyspace.fingerprint)",
                longestLife: max(
                    site.absoluteLifetime,
                    .seconds(86_400),
                    .milliseconds(Int64(clamping: site.tombstonesUntil) - Int64(clamping: StoreClock.now))
                )
            )
        }
        store.memcached.connectTimeout = site.connectTimeout
        store.memcached.operationTimeout = site.operationTimeout
        store.memcached.maximumCommandsInFlight = site.queueLength
        return store
    }

    /// The servers of a site with their names on the ring.
    static func servers(
        of site: GatewayConfiguration.Site,
        ring: RingKind
    ) throws(GatewayError) -> [Server] {
        try self.servers(of: site.servers, site.name, ring: ring)
    }

    static func servers(
        of servers: GatewayConfiguration.Servers,
        _ site: String,
        ring: RingKind
    ) throws(GatewayError) -> [Server] {
        switch servers {
        case .none:
            return []
        case .list(let servers):
            return try servers.map { server throws(GatewayError) in
                guard let address = MemcachedAddress(parsing: server.address.description) else {
                    throw GatewayError("site \(site): \(server.address) is not the address of a memcached")
                }
                return Server(address: address, ringServer: RingServer(server, ring: ring))
            }
        case .savePath(let path):
            do {
                return try PHPSavePath.parse(path).map { server in
                    guard let address = MemcachedAddress(server) else {
                        throw GatewayError(
                            "site \(site): save path: \(server.host) is not the address of a memcached"
                        )
                    }
                    return Server(address: address, ringServer: server)
                }
            } catch let error as GatewayError {
                throw error
            } catch {
                throw GatewayError("site \(site): save path: \(error)")
            }
        }
    }
}

extension RingServer {
    /// Hosts are hashed as the originals write them: IPv6 addresses in brackets; a unix socket is `unix:///path` to PHP's
    /// memcache and `/path` to the others, with port 0.
    fileprivate init(_ server: GatewayConfiguration.Server, ring: RingKind) {
        switch server.address {
        case .tcp(let host, let port):
            self.init(host: host.contains(":") ? "[\(host)]" : host, port: port, weight: server.weight)
        case .unix(let path):
            let isPECL = ring == .peclCRC32 || ring == .peclFNV
            self.init(host: isPECL ? "unix://\(path)" : path, port: 0, weight: server.weight)
        }
    }
}

extension GatewayConfiguration.Site {
    /// Until then sessions that have ended could be taken over from another store again; 0 where there is none.
    var tombstonesUntil: SessionRecord.Timestamp { self.adoption?.until?.milliseconds ?? 0 }
}

extension SessionKeyspace {
    /// For the name of a file: FNV-1a.
    fileprivate var fingerprint: String {
        let hash = self.bytes.reduce(2_166_136_261 as UInt32) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return String(hash, radix: 16)
    }
}

extension RingKind {
    init(_ ring: GatewayConfiguration.Ring) {
        switch ring {
        case .ketamaWeighted: self = .ketamaWeighted
        case .ketama: self = .ketama
        case .peclCRC32: self = .peclCRC32
        case .peclFNV: self = .peclFNV
        case .flexihash: self = .flexihash
        }
    }
}

extension CookieSettings {
    init(_ cookie: GatewayConfiguration.Cookie) throws(GatewayError) {
        self.init()
        switch cookie.name {
        case .automatic:
            self.name = .auto
        case .fixed(let text):
            guard let name = CookieName(text) else {
                throw GatewayError("\(text) is not a cookie's name")
            }
            self.name = .fixed(name)
        }
        self.path = cookie.path
        self.domain = cookie.domain
        self.secure =
            switch cookie.secure {
            case .automatic: .auto
            case .always: .always
            case .never: .never
            }
        self.isHTTPOnly = cookie.httpOnly
        self.sameSite =
            switch cookie.sameSite {
            case .lax: .lax
            case .strict: .strict
            case .none: .none
            case .unset: .unset
            }
        self.lifetime = cookie.lifetime.wholeSeconds
        self.duplicates = cookie.duplicates == .first ? .first : .none
    }
}

extension GatewayProgram {
    /// What is wrong with a PHP `session.save_path`, nil if nothing is: for the configuration's check.
    package static func savePathProblem(_ path: String) -> String? {
        do {
            for server in try PHPSavePath.parse(path) where MemcachedAddress(server) == nil {
                return "\(server.host) is not the address of a memcached"
            }
            return nil
        } catch {
            return "\(error)"
        }
    }
}
