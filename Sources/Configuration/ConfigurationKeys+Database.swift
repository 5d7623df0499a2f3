extension GatewayConfiguration.Database: ConfigurationSection {
    static let keys: [ConfigurationKey<Self>] = [
        .init(
            "url",
            \.url,
            ConfigurationForm<GatewayConfiguration.DatabaseURL>.databaseURL.optional,
            fallback: "without `servers`: `sessions.sqlite` in the state directory; with them: no database",
            isShorthand: true,
            """
            Where it is: `sqlite:/path`, `postgresql://user:password@host/database` as libpq takes it, or \
            `mariadb://user:password@host/database`, with `?socket=/path` for a unix socket.
            """
        ),
        .init(
            "connections",
            \.connections,
            .integer(1...256),
            "Connections to a server, each with a thread; of SQLite the readers beside the one writer."
        ),
        .init(
            "connect_timeout",
            \.connectTimeout,
            .duration(.milliseconds(100) ... .seconds(60)),
            "How long connecting to a server may take. MariaDB counts whole seconds."
        ),
        .init(
            "statement_timeout",
            \.statementTimeout,
            .duration(.milliseconds(100) ... .seconds(60)),
            "How long one statement may take, a lock of somebody else's included."
        ),
        .init(
            "synchronous",
            \.synchronous,
            .choice,
            """
            What a commit of SQLite's waits for. `normal`: a power cut may take the last ones back, but no sign-out \
            and nothing `durable`; `full`: nothing; `off`: a power cut may damage the file.
            """
        ),
        .init(
            "migrate",
            \.migrate,
            .choice,
            "When its tables are made and changed: at the start, or by `session-gateway database migrate`."
        ),
        .init(
            "sync_interval",
            \.syncInterval,
            .duration(.seconds(1) ... .seconds(86_400)),
            """
            How long changes of a session may be in memcached alone: the most that is lost where all of it forgets. \
            `Session-Control: durable` and a sign-out are in the database before the response.
            """
        ),
        .init(
            "sync_new",
            \.syncsNew,
            .boolean,
            "Whether a new session is in the database before its first response; else right behind it."
        ),
        .init(
            "sync_queue",
            \.syncQueue,
            .size(65_536...1_073_741_824),
            """
            Memory for changes that wait for the database. What does not fit is counted, and due again with its next \
            change.
            """
        ),
        .init(
            "reap_interval",
            \.reapInterval,
            .duration(.seconds(1) ... .seconds(86_400)),
            "The pause between two walks over the rows that are due. One gateway walks at a time."
        ),
        .init(
            "reap_after",
            \.reapAfter,
            .duration(.seconds(1) ... .seconds(86_400)),
            "After how long without news a row is compared with memcached; at least twice sync_interval."
        ),
        .init(
            "session_log",
            \.sessionLog,
            ConfigurationForm<String>.directory.optional,
            fallback: "none",
            "The file that gets a line of JSON when a session has expired: site, created, last seen, saves, size."
        ),
    ]
}
