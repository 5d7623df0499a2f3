extension GatewayConfiguration.Site: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "match",
            \.match,
            ConfigurationForm<String>.serverName.list(named: "name or list"),
            fallback: "nothing",
            "The values of `SERVER_NAME` that belong to the site. An exact name goes before a `*.`."
        ),
        .init(
            "sessions_of",
            \.sessionsOf,
            ConfigurationForm<String>.siteName.optional,
            fallback: "none: sessions of its own",
            """
            The name of another site whose sessions this one shares, for an application whose parts have different \
            backends. Everything about the store and the cookie, from `servers` to `max_size` and from \
            `connect_timeout` to `when_unavailable`, then stands in that site; `ignore`, `concurrency`, `max_waiting`, \
            `lock_timeout` and `readonly` are each site's own.
            """
        ),
        .init(
            "servers",
            \.servers,
            .servers,
            fallback: "none: the sessions are in `database` alone",
            """
            The memcached servers, 1.6.18 or newer. All gateways must have the same list in the same spelling, as it \
            decides where a session lies. A single text is a `session.save_path` of PHP's memcache or memcached \
            extension as it stands.
            """
        ),
        .init(
            "previous_servers",
            \.previousServers,
            .servers,
            fallback: "those that the servers, or this gateway, remember",
            """
            The list that was in `servers` before, where neither the new servers nor `state_directory` can know of it: \
            the sessions are found there and moved. Not needed where a server is in both lists.
            """
        ),
        .init(
            "database",
            \.database,
            .section(),
            fallback: "see below",
            """
            The database behind memcached, from which sessions come back that memcached has forgotten; without `servers` \
            the sessions are in it alone.
            """
        ),
        .init(
            "redundancy",
            \.redundancy,
            .integer(1...8),
            """
            Copies of each session, all counted, as `memcache.session_redundancy` does. They lie on the first \
            2 × redundancy − 1 servers of the session: 2 copies want 3 servers.
            """
        ),
        .init(
            "ring",
            \.ring,
            .choice,
            """
            How sessions are spread over the servers: as libmemcached does (`ketama_weighted`, `ketama`), PHP's \
            memcache (`pecl_crc32`, `pecl_fnv`) or Flexihash (`flexihash`).
            """
        ),
        .init("prefix", \.prefix, .keyPrefix, "What the keys in memcached start with; the site's name follows."),
        .init(
            "secret",
            \.secret,
            ConfigurationForm<GatewayConfiguration.Secret>.secret.optional,
            fallback: "none",
            """
            Keys the checksum of the records, so that who can write to memcached cannot make one up. All gateways \
            must have the same.
            """
        ),
        .init(
            "id_secrets",
            \.idSecrets,
            ConfigurationForm<GatewayConfiguration.Secret>.secret.list(named: "text or list", atMost: 16),
            fallback: "none",
            """
            Ids carry a tag that only these can make, so that an id which somebody made up costs no store anything. The \
            first one signs, all verify: put a new one in front, and take the old one out when its sessions have ended. \
            The first secret of all ends the sessions there are.
            """
        ),
        .init(
            "unknown_ids",
            \.unknownIDs,
            .integer(1...1_000_000),
            """
            Ids that nobody knows, of which one client address may have so many looked up in a second, in the database or \
            in the store of `adopt`; further ones get 503. Twice as many at once; an address that asked for none lately \
            may have five times as many looked up at once, and what is unknown of them counts.
            """
        ),
        .init(
            "ignore",
            \.ignore,
            ConfigurationForm<String>.pattern.optional,
            fallback: "none",
            """
            Requests whose path matches go to the backend without a session. The path is the one that the browser asked for \
            (`REQUEST_URI` without the query, decoded), or the one that nginx made of it (`DOCUMENT_URI`, behind \
            `try_files`): either may match.
            """
        ),
        .init(
            "concurrency",
            \.concurrency,
            .choice,
            """
            Requests of one session run at the same time, and of two that change it one is discarded (`optimistic`); or \
            they wait in the gateway until it is their turn (`serialize`), for applications that lose data otherwise. \
            Several gateways take turns by memcached: without `servers` each has its own. An id that somebody made up \
            then costs memcached a write too, unless `id_secrets` are set.
            """
        ),
        .init(
            "max_waiting",
            \.maximumWaiting,
            .integer(0...1_000),
            "With `serialize`: requests of one session that may wait in this gateway; further ones get 503."
        ),
        .init(
            "lock_timeout",
            \.lockTimeout,
            .duration(.milliseconds(1) ... .seconds(3_600)),
            "With `serialize`: how long a request waits for its turn before it gets 503."
        ),
        .init(
            "readonly",
            \.readOnly,
            ConfigurationForm<String>.pattern.optional,
            fallback: "none",
            """
            Requests whose path matches, as with `ignore`, get their session, do not wait for a turn, and cannot change it.
            """
        ),
        .init(
            "idle_lifetime",
            \.idleLifetime,
            .duration(.seconds(1) ... .seconds(365 * 86_400)),
            "How long a session lives without a request (PHP's `session.gc_maxlifetime`)."
        ),
        .init(
            "absolute_lifetime",
            \.absoluteLifetime,
            .duration(.seconds(1) ... .seconds(365 * 86_400)),
            "How long it lives at the most, however busy it is."
        ),
        .init(
            "max_item_age",
            \.maximumItemAge,
            .duration(.seconds(60) ... .seconds(23 * 3_600)),
            "No copy in memcached lives longer than this without being written anew."
        ),
        .init(
            "max_size",
            \.maximumSize,
            .size(1...1_000_000),
            "The largest session, in bytes as the backend sees it. memcached's `-I` (1m) must leave room for it."
        ),
        .init(
            "connect_timeout",
            \.connectTimeout,
            .duration(.milliseconds(1) ... .seconds(10)),
            "How long connecting to a memcached may take."
        ),
        .init(
            "operation_timeout",
            \.operationTimeout,
            .duration(.milliseconds(1) ... .seconds(2)),
            "How long one memcached operation may take before the server counts as failed."
        ),
        .init(
            "load_timeout",
            \.loadTimeout,
            .duration(.milliseconds(1) ... .seconds(2)),
            "How long a whole load or save may take, whatever the servers do."
        ),
        .init(
            "queue_length",
            \.queueLength,
            .integer(16...65_536),
            "Operations under way on one connection to a memcached; further ones fail at once."
        ),
        .init(
            "when_degraded",
            \.whenDegraded,
            .choice,
            """
            With fewer than `redundancy` servers of a session reachable: go on with the copy there is and mark the \
            response `degraded` (`serve`), or answer 503 (`refuse`).
            """
        ),
        .init(
            "when_unavailable",
            \.whenUnavailable,
            .choice,
            """
            With none reachable, for requests that carry a session: 503 (`error`), or an empty session whose changes \
            are not kept (`anonymous`). Others are served; what they would store is not kept.
            """
        ),
        .init(
            "cache_limiter",
            \.cacheLimiter,
            .choice,
            """
            The headers against caching of responses with a session, unless the backend sets a Cache-Control. \
            `private_no_store` sends `Cache-Control: private, no-store`; the others are those of PHP's \
            `session.cache_limiter` with its 180 minutes.
            """
        ),
        .init(
            "contract",
            \.contract,
            .choice,
            """
            How session and backend meet: by the gateway's own contract, or by the names of Apache's mod_session \
            (`HTTP_SESSION` in, `X-Replace-Session` back), which has no protection against headers that somebody \
            else smuggles into the backend's response.
            """
        ),
        .init(
            "adapter",
            \.adapter,
            .choice,
            """
            What makes an unmodified application's own sessions live in the gateway: `php` has php-fpm prepend \
            `adapter_file` to every script, by adding `auto_prepend_file` to what nginx sends as `PHP_ADMIN_VALUE`. \
            Adapters/php/README.md says what it changes.
            """
        ),
        .init(
            "adapter_file",
            \.adapterFile,
            .iniPath,
            "Where the machine of php-fpm has the adapter, as php-fpm sees it. Its `open_basedir` must allow it."
        ),
        .init(
            "x_accel",
            \.passesXAccel,
            .boolean,
            """
            Whether the backend's `X-Accel-*` headers reach nginx; with them it can read nginx's `internal` locations.
            """
        ),
        .init("cookie", \.cookie, .section(), fallback: "see below", "The session's cookie."),
        .init(
            "adopt",
            \.adoption,
            ConfigurationForm<GatewayConfiguration.Adoption>.section().optional,
            fallback: "none",
            """
            The store in which PHP kept the application's sessions until now: visitors who have one there keep it, with \
            its id. docs/adoption.md says how to move in.
            """
        ),
        .init("backend", \.backend, .backend, isRequired: true, "What runs the scripts: `fastcgi` or `cgi`."),
    ]
}

extension GatewayConfiguration.Site {
    /// The keys that a site with `sessions_of` takes from the other site.
    static let sharedKeys: Set<String> = [
        "servers", "previous_servers", "database", "redundancy", "ring", "prefix", "secret", "id_secrets",
        "unknown_ids", "idle_lifetime", "absolute_lifetime", "max_item_age", "max_size", "connect_timeout",
        "operation_timeout", "load_timeout", "queue_length", "when_degraded", "when_unavailable", "cookie", "adopt",
    ]

    /// What `sharedKeys` say, as in another site.
    mutating func takeSharedValues(from other: Self) {
        self.servers = other.servers
        self.previousServers = other.previousServers
        self.database = other.database
        self.redundancy = other.redundancy
        self.ring = other.ring
        self.prefix = other.prefix
        self.secret = other.secret
        self.idSecrets = other.idSecrets
        self.unknownIDs = other.unknownIDs
        self.idleLifetime = other.idleLifetime
        self.absoluteLifetime = other.absoluteLifetime
        self.maximumItemAge = other.maximumItemAge
        self.maximumSize = other.maximumSize
        self.connectTimeout = other.connectTimeout
        self.operationTimeout = other.operationTimeout
        self.loadTimeout = other.loadTimeout
        self.queueLength = other.queueLength
        self.whenDegraded = other.whenDegraded
        self.whenUnavailable = other.whenUnavailable
        self.cookie = other.cookie
        self.adoption = other.adoption
    }

    /// The keys that are written in this site.
    var ownKeys: [ConfigurationKey<Self>] {
        self.sessionsOf == nil ? Self.keys : Self.keys.filter { !Self.sharedKeys.contains($0.name) }
    }
}

extension GatewayConfiguration.Server: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "address",
            \.address,
            .address,
            isRequired: true,
            isShorthand: true,
            "Its spelling counts: `localhost` and `127.0.0.1` are different places on the ring."
        ),
        .init("weight", \.weight, .integer(1...1_000), "Its share of the sessions, where `ring` knows weights."),
    ]
}
