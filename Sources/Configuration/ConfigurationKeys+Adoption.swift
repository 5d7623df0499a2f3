extension GatewayConfiguration.Adoption: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "memcache",
            \.memcache,
            .servers,
            fallback: "one of the four is required",
            """
            The servers of PHP's memcache extension: its `session.save_path` as it stands, or a list with the same \
            spelling and order.
            """
        ),
        .init(
            "memcached",
            \.memcached,
            .servers,
            fallback: "one of the four is required",
            "The servers of php-memcached, likewise. Both want memcached 1.6 or newer."
        ),
        .init(
            "files",
            \.files,
            ConfigurationForm<GatewayConfiguration.SessionFiles>.sessionFiles.optional,
            fallback: "one of the four is required",
            "The directory of PHP's `files` handler, as its `session.save_path`."
        ),
        .init(
            "redis",
            \.redis,
            ConfigurationForm<GatewayConfiguration.RedisServers>.redisServers.optional,
            fallback: "one of the four is required",
            "The `session.save_path` of phpredis as it stands."
        ),
        .init(
            "until",
            \.until,
            ConfigurationForm<GatewayConfiguration.AdoptionEnd>.adoptionEnd.optional,
            isRequired: true,
            """
            The last day on which sessions are taken over, UTC. Until its end it is remembered which sessions were, and \
            which have ended, so that none comes back.
            """
        ),
        .init(
            "redundancy",
            \.redundancy,
            ConfigurationForm<Int>.integer(1...16).optional,
            fallback: "2 with `memcache`, 1 with `memcached`",
            """
            Copies of each session, all counted: `memcache.session_redundancy`, or \
            `memcached.sess_number_of_replicas` and one.
            """
        ),
        .init(
            "ring",
            \.ring,
            ConfigurationForm<GatewayConfiguration.Ring>.choice.optional,
            fallback: "`pecl_crc32` with `memcache`, `ketama` with `memcached`",
            """
            `memcache.hash_function`: `pecl_crc32` or `pecl_fnv`; `memcached.sess_consistent_hash_type`: `ketama` or \
            `ketama_weighted`.
            """
        ),
        .init(
            "prefix",
            \.prefix,
            ConfigurationForm<String>.keyPrefix.optional,
            fallback: "none with `memcache`, `memc.sess.key.` with `memcached`, `PHPREDIS_SESSION:` with `redis`",
            """
            What the keys begin with: `memcache.session_prefix_static_key` and the host's name where that is in it, \
            `memcached.sess_prefix`, or `prefix` of phpredis.
            """
        ),
        .init(
            "owner",
            \.owner,
            ConfigurationForm<String>.user.optional,
            fallback: "the gateway's own user",
            "With `files`: the user whose files are sessions, beside root's."
        ),
        .init(
            "lifetime",
            \.lifetime,
            .duration(.seconds(1) ... .seconds(365 * 86_400)),
            "With `files`: how long a file that nobody writes is a session (`session.gc_maxlifetime`)."
        ),
        .init(
            "timeout",
            \.timeout,
            .duration(.milliseconds(1) ... .seconds(10)),
            "How long the old store has for an answer."
        ),
        .init(
            "lock_timeout",
            \.lockTimeout,
            .duration(.zero ... .seconds(300)),
            "How long a request waits for a session that the application has locked, before it gets 503."
        ),
        .init(
            "when_unavailable",
            \.whenUnavailable,
            .choice,
            """
            For an id that the gateway does not know, while the old store does not answer: 503 (`error`), or no session, \
            which logs the visitor out (`new`).
            """
        ),
    ]
}

extension ConfigurationForm where Value == GatewayConfiguration.SessionFiles {
    static var sessionFiles: Self {
        .scalar("path", range: "[depth;[mode;]]/directory", render: \.description) {
            (text, _) throws(ConfigurationValueProblem) in
            guard let files = GatewayConfiguration.SessionFiles(text) else {
                throw ConfigurationValueProblem(
                    "\(text.quoted) is not a session.save_path as /directory or 2;/directory"
                )
            }
            return files
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.RedisServers {
    static var redisServers: Self {
        .scalar("text", range: "tcp://host:port?… or unix:///path?…", render: \.description) {
            (text, _) throws(ConfigurationValueProblem) in
            do throws(GatewayConfiguration.RedisServers.Problem) {
                return try GatewayConfiguration.RedisServers(text)
            } catch {
                throw ConfigurationValueProblem(error.message)
            }
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.AdoptionEnd {
    static var adoptionEnd: Self {
        .scalar("date", range: "2000-01-01 to 2037-12-31", render: \.description) {
            (text, _) throws(ConfigurationValueProblem) in
            guard let end = GatewayConfiguration.AdoptionEnd(text) else {
                throw ConfigurationValueProblem("\(text.quoted) is not a date such as 2026-12-31")
            }
            return end
        }
    }
}
