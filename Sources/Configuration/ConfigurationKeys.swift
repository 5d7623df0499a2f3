/// The table of all keys. Reading a file, what `check` prints and `docs/configuration.md` come from it.
enum ConfigurationKeys {
    /// A part of the table, as the reference shows it.
    struct Section {
        /// Where its keys stand, as `sites.NAME.cookie`.
        var title: String
        var sentence: String
        var keys: [Description]
    }

    struct Description {
        var name: String
        var type: String
        var range: String
        var fallback: String
        var sentence: String
    }

    static let sections: [Section] = [
        section("Top level", "", GatewayConfiguration.self),
        section(
            "listen",
            "Entries of `listen` that need more than an address.",
            GatewayConfiguration.Listener.self
        ),
        section("sites.NAME", "One application.", GatewayConfiguration.Site.self),
        section(
            "sites.NAME.servers",
            "Entries of `servers` that need more than an address.",
            GatewayConfiguration.Server.self
        ),
        section(
            "sites.NAME.database",
            "A text alone is its `url`.",
            GatewayConfiguration.Database.self
        ),
        section("sites.NAME.cookie", "", GatewayConfiguration.Cookie.self),
        section(
            "sites.NAME.adopt",
            "With one of `memcache`, `memcached`, `files` and `redis`.",
            GatewayConfiguration.Adoption.self
        ),
        section(
            "sites.NAME.backend with fastcgi",
            "php-fpm or any FastCGI application.",
            GatewayConfiguration.FastCGI.self
        ),
        section(
            "sites.NAME.backend with cgi",
            "Executables that are started for each request.",
            GatewayConfiguration.CGI.self
        ),
    ]

    /// The title of a section that has a key of this name.
    static func section(having name: String) -> String? {
        self.sections.first { $0.keys.contains { $0.name == name } }?.title
    }

    private static func section<S: ConfigurationSection>(_ title: String, _ sentence: String, _: S.Type) -> Section {
        Section(
            title: title,
            sentence: sentence,
            keys: S.keys.map {
                Description(
                    name: $0.name,
                    type: $0.type,
                    range: $0.range,
                    fallback: $0.fallback,
                    sentence: $0.sentence
                )
            }
        )
    }
}

extension GatewayConfiguration: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "listen",
            \.listeners,
            ConfigurationForm<GatewayConfiguration.Listener>.section().list(
                named: "address, mapping or list of them",
                atMost: 64
            ),
            fallback: "unix:/run/session-gateway/gateway.sock",
            "Where nginx reaches the gateway (`fastcgi_pass`)."
        ),
        .init(
            "threads",
            \.threads,
            .threads,
            isReadOnce: true,
            "Event loops. `auto` is half the cores, at least one: nginx and the backends need the others."
        ),
        .init(
            "header_timeout",
            \.headerTimeout,
            .duration(.milliseconds(100) ... .seconds(3_600)),
            isReadOnce: true,
            "How long nginx may take for the parameters of a request, from its first byte on."
        ),
        .init(
            "client_timeout",
            \.clientTimeout,
            .duration(.seconds(1) ... .seconds(86_400)),
            isReadOnce: true,
            "How long a request body may take as a whole, and how long a client may take nothing of its response."
        ),
        .init(
            "minimum_rate",
            \.minimumRate,
            .integer(0...1_000_000_000),
            isReadOnce: true,
            "Bytes per second of a request body below which the request is given up; 0 turns this off."
        ),
        .init(
            "max_connections",
            \.maximumConnections,
            .integer(16...1_000_000),
            isReadOnce: true,
            "Connections from nginx; further ones are closed at once."
        ),
        .init(
            "shutdown_timeout",
            \.shutdownTimeout,
            .duration(.zero ... .seconds(3_600)),
            isReadOnce: true,
            "How long requests in flight may take after SIGTERM."
        ),
        .init(
            "late_socket",
            \.lateSocket,
            ConfigurationForm<String>.lateSocketPath.optional,
            fallback: "`late.sock` beside the first unix listener, else in the state directory",
            isReadOnce: true,
            "The unix socket on which backends answer that have already sent their headers (`SESSION_LATE`)."
        ),
        .init(
            "late_group",
            \.lateGroup,
            ConfigurationForm<String>.group.optional,
            fallback: "the process's own",
            isReadOnce: true,
            "The group that may connect to it: the backends'."
        ),
        .init(
            "late_timeout",
            \.lateTimeout,
            .duration(.zero ... .seconds(3_600)),
            isReadOnce: true,
            "How long after the end of a response a late answer is taken (`fastcgi_finish_request()`). Each event loop "
                + "remembers at most 4,096 requests that have announced one and as many that have not, of each kind 64 MB. A "
                + "gateway that is stopped takes none any more once its last request has ended."
        ),
        .init("log_level", \.logLevel, .choice, isReadOnce: true, "What is logged to standard error."),
        .init(
            "state_directory",
            \.stateDirectory,
            .directory,
            fallback:
                "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/session-gateway`, else `~/.local/state/session-gateway`, else "
                + "`/var/lib/session-gateway`",
            "What must outlive a restart."
        ),
        .init(
            "sites",
            \.sites,
            .sites,
            isRequired: true,
            """
            The applications. A request belongs to the site that its parameter `SESSION_SITE` names, else to the one \
            whose `match` has its `SERVER_NAME`, else to the site named `default`, else it gets 404.
            """
        ),
    ]
}

extension GatewayConfiguration {
    /// The keys that say something else than when the program was started, and are read at the start only.
    package func keysForNextStart(since started: GatewayConfiguration) -> [String] {
        Self.keys.filter { $0.isReadOnce && $0.render(self) != $0.render(started) }.map(\.name)
    }
}

extension GatewayConfiguration.Listener: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init("address", \.address, .address, isRequired: true, isShorthand: true, "The socket."),
        .init("mode", \.mode, .mode, "The permissions of a unix socket."),
        .init(
            "group",
            \.group,
            ConfigurationForm<String>.group.optional,
            fallback: "the process's own",
            "The group of a unix socket: nginx's, as whoever can connect can send any request."
        ),
        .init(
            "allowed_clients",
            \.allowedClients,
            ConfigurationForm<GatewayConfiguration.IPRange>.addressRange.list(named: "list of addresses"),
            fallback: "everybody on loopback",
            "Who may connect by TCP, as in php-fpm. Required for addresses beyond loopback."
        ),
    ]
}

extension GatewayConfiguration.FastCGI: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "fastcgi",
            \.upstreams,
            ConfigurationForm<GatewayConfiguration.Address>.address.list(named: "address or list", atMost: 64),
            isRequired: true,
            "Where the application listens; of several addresses one that cannot be reached is passed over."
        ),
        .init(
            "connections",
            \.connections,
            .integer(1...4_096),
            """
            Connections to each address. A kept connection occupies a php-fpm child: stay below `pm.max_children`. \
            Requests beyond it wait in the queue.
            """
        ),
        .init(
            "idle_timeout",
            \.idleTimeout,
            .duration(.zero ... .seconds(3_600)),
            "After how long without a request a connection is closed."
        ),
        .init("queue_length", \.queueLength, .integer(0...65_536), "Requests that wait at most; further ones get 503."),
        .init(
            "queue_timeout",
            \.queueTimeout,
            .duration(.milliseconds(1) ... .seconds(3_600)),
            "How long a request waits at most, then it gets 503."
        ),
        .init(
            "connect_timeout",
            \.connectTimeout,
            .duration(.milliseconds(1) ... .seconds(60)),
            "How long connecting may take before the next address is tried."
        ),
        .init(
            "response_timeout",
            \.responseTimeout,
            .duration(.milliseconds(10) ... .seconds(86_400)),
            "How long the application may take for the head of its response, then the client gets 504."
        ),
        .init(
            "io_timeout",
            \.inputOutputTimeout,
            .duration(.milliseconds(10) ... .seconds(86_400)),
            "How long the application may pause within a response, or take nothing of a request body."
        ),
        .init(
            "root",
            \.root,
            ConfigurationForm<String>.directory.optional,
            fallback: "not checked",
            "`SCRIPT_FILENAME` must be below this directory."
        ),
    ]
}

extension GatewayConfiguration.CGI: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "cgi",
            \.root,
            .directory,
            isRequired: true,
            "The directory of the executables, which no path and no symbolic link can leave."
        ),
        .init(
            "processes",
            \.processes,
            .integer(1...4_096),
            "How many run at a time; further requests wait in the queue."
        ),
        .init(
            "timeout",
            \.timeout,
            .duration(.milliseconds(10) ... .seconds(86_400)),
            "How long a script may run before its process group is ended."
        ),
        .init("queue_length", \.queueLength, .integer(0...65_536), "Requests that wait at most; further ones get 503."),
        .init(
            "queue_timeout",
            \.queueTimeout,
            .duration(.milliseconds(1) ... .seconds(3_600)),
            "How long a request waits at most, then it gets 503."
        ),
        .init("environment", \.environment, .environment, fallback: "nothing", "Variables that every script gets."),
        .init(
            "pass",
            \.passedNames,
            ConfigurationForm<String>.passedName.list(named: "list of names"),
            fallback: "nothing",
            "Parameters from nginx that scripts get beyond those of RFC 3875 and `HTTP_*`."
        ),
    ]
}
