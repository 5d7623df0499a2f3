extension GatewayConfiguration {
    /// One application: how its requests are recognised, where its sessions are, what runs it.
    package struct Site: Sendable, Equatable {
        /// 1–32 of `A-Z a-z 0-9 . _ -`; part of the keys in memcached.
        package var name = "default"
        /// SERVER_NAME values in lower case; `*.example.com` stands for every name below `example.com`.
        package var match: [String] = []
        /// The name of the site whose sessions this one shares. Everything about the store and the cookie has been
        /// copied from there.
        package var sessionsOf: String?
        package var servers: Servers = .none
        /// Where the sessions may still be.
        package var previousServers: Servers = .none
        package var database = Database()
        package var redundancy = 2
        package var ring: Ring = .ketamaWeighted
        package var prefix = "sg:"
        package var secret: Secret?
        /// The first signs ids, all verify them.
        package var idSecrets: [Secret] = []
        /// By client address and second.
        package var unknownIDs = 100
        /// A POSIX extended regular expression that compiles.
        package var ignore: String?
        package var concurrency: Concurrency = .optimistic
        /// Requests of one session that may wait for their turn.
        package var maximumWaiting = 6
        /// How long one of them waits at most.
        package var lockTimeout: Duration = .seconds(30)
        /// A POSIX extended regular expression that compiles.
        package var readOnly: String?
        package var idleLifetime: Duration = .seconds(1_440)
        package var absoluteLifetime: Duration = .seconds(24 * 3_600)
        package var maximumItemAge: Duration = .seconds(23 * 3_600)
        /// Bytes of a blob as the backend sees it.
        package var maximumSize = 512 * 1_024
        package var connectTimeout: Duration = .milliseconds(250)
        package var operationTimeout: Duration = .milliseconds(100)
        package var loadTimeout: Duration = .milliseconds(250)
        package var queueLength = 1_024
        package var whenDegraded: WhenDegraded = .serve
        package var whenUnavailable: WhenUnavailable = .error
        package var cacheLimiter: CacheLimiter = .privateNoStore
        package var contract: Contract = .standard
        package var adapter: Adapter = .none
        /// Where the backend's machine has the adapter. No character that php.ini would not take as it stands.
        package var adapterFile = "/usr/share/session-gateway/php/session-gateway.php"
        package var passesXAccel = false
        package var cookie = Cookie()
        /// Nil: no sessions are taken over from another store.
        package var adoption: Adoption?
        package var backend: Backend = .fastCGI(FastCGI())
        /// The whole configuration's; nil where there is none.
        package var stateDirectory: String?

        package init() {}

        /// The name that stands in the keys in memcached. Sites with the same one have the same store.
        package var storeName: String { self.sessionsOf ?? self.name }

        /// Whether its sessions are in memcached; else they are in its database alone.
        package var hasServers: Bool { self.servers != .none }
    }

    /// Where a site's sessions are kept.
    package enum Servers: Sendable, Equatable {
        /// In the database alone.
        case none
        /// At least one, with distinct addresses.
        case list([Server])
        /// A `session.save_path` of PHP's memcache or memcached extension, as it stands.
        case savePath(String)

        /// For a save path the number of its entries, which are separated by commas or white space.
        package var count: Int {
            switch self {
            case .none: 0
            case .list(let servers): servers.count
            case .savePath(let text): text.split(whereSeparator: { $0 == "," || $0.isWhitespace }).count
            }
        }
    }

    package struct Server: Sendable, Equatable {
        package var address: Address = .tcp(host: "127.0.0.1", port: 11_211)
        package var weight = 1

        package init() {}

        package init(address: Address, weight: Int = 1) {
            self.address = address
            self.weight = weight
        }
    }

    package enum Ring: String, Sendable, CaseIterable {
        case ketamaWeighted = "ketama_weighted"
        case ketama
        case peclCRC32 = "pecl_crc32"
        case peclFNV = "pecl_fnv"
        case flexihash

        /// Whether the servers' weights have an effect.
        var usesWeights: Bool { self != .ketama }
    }

    /// How requests of one session get along with each other.
    package enum Concurrency: String, Sendable, CaseIterable {
        /// At the same time; of two that change the session from the same state one is discarded.
        case optimistic
        /// One after the other.
        case serialize
    }

    package enum WhenDegraded: String, Sendable, CaseIterable {
        case serve, refuse
    }

    package enum WhenUnavailable: String, Sendable, CaseIterable {
        case error, anonymous
    }

    /// The headers against caching that a response with a session gets unless the backend set a Cache-Control.
    /// The names but the first are those of PHP's `session.cache_limiter`; ages are its default, 180 minutes.
    package enum CacheLimiter: String, Sendable, CaseIterable {
        /// `Cache-Control: private, no-store`
        case privateNoStore = "private_no_store"
        /// `Expires` in the past, `Cache-Control: no-store, no-cache, must-revalidate`, `Pragma: no-cache`
        case noCache = "nocache"
        /// `Expires` in the past, `Cache-Control: private, max-age=10800`
        case `private`
        /// `Cache-Control: private, max-age=10800`
        case privateNoExpire = "private_no_expire"
        /// `Expires` in 180 minutes, `Cache-Control: public, max-age=10800`
        case `public`
        case none
    }

    package enum Contract: String, Sendable, CaseIterable {
        case standard
        case modSession = "mod_session"
    }

    /// What makes an application speak the contract that knows nothing of it.
    package enum Adapter: String, Sendable, CaseIterable {
        case none
        case php
    }
}
