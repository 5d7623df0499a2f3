/// What has to hold between several keys. A rule says nothing about keys that could not be read.
struct ConfigurationRules {
    private let configuration: GatewayConfiguration

    static func check(_ configuration: GatewayConfiguration, _ reader: inout ConfigurationReader) {
        let rules = ConfigurationRules(configuration: configuration)
        rules.checkListeners(&reader)
        for site in configuration.sites {
            let path = "sites.\(site.name)"
            if site.sessionsOf == nil {
                rules.checkTimes(site, path, &reader)
                rules.checkServers(site, path, &reader)
                rules.checkCookie(site.cookie, path + ".cookie", &reader)
                Self.checkAdoption(site, path, &reader)
            }
            Self.checkTurns(site, path, &reader)
            rules.checkBackend(site, path + ".backend", &reader)
            rules.checkAdapter(site, path, &reader)
        }
        rules.checkMatches(&reader)
        Self.checkDatabases(configuration, &reader)
        Self.checkSharedTurns(configuration, &reader)
    }

    // MARK: - Listeners

    private func checkListeners(_ reader: inout ConfigurationReader) {
        guard !reader.hasFailed("listen") else { return }
        var addresses: Set<GatewayConfiguration.Address> = []
        for (index, listener) in self.configuration.listeners.enumerated() {
            let path = "listen.#\(index)"
            let address = listener.address
            if !addresses.insert(address).inserted {
                reader.plainError("listen: \(address) is given twice", at: reader.origin(path))
            }
            switch address {
            case .unix:
                if !listener.allowedClients.isEmpty {
                    reader.plainError(
                        "allowed_clients: is for TCP; a unix socket has mode and group",
                        at: reader.origin(path + ".allowed_clients")
                    )
                }
            case .tcp:
                if listener.mode != GatewayConfiguration.Listener().mode || listener.group != nil {
                    reader.plainError(
                        "mode and group are for unix sockets; \(address) has allowed_clients",
                        at: reader.origin(path + (listener.group == nil ? ".mode" : ".group"))
                    )
                }
                if !address.isLocal, listener.allowedClients.isEmpty {
                    reader.plainError(
                        """
                        \(address) can be reached from elsewhere: it needs allowed_clients, in a configuration file: \
                        {address: "\(address)", allowed_clients: [ADDRESS]}
                        """,
                        at: reader.origin(path + ".address")
                    )
                }
            }
        }
        if !reader.hasFailed("late_socket"), addresses.contains(.unix(path: self.configuration.lateSocketPath)) {
            reader.plainError("late_socket: is the address of a listener too", at: reader.origin("late_socket"))
        }
        let limit = GatewayConfiguration.maximumLateSocketPathLength
        if self.configuration.lateSocketPath.utf8.count > limit {
            reader.plainError(
                "late_socket: its default, \(self.configuration.lateSocketPath.quoted), is longer than \(limit) bytes",
                at: reader.origin("late_socket")
            )
        }
    }

    // MARK: - Sites

    private func checkMatches(_ reader: inout ConfigurationReader) {
        var owners: [String: String] = [:]
        for site in self.configuration.sites {
            for (index, name) in site.match.enumerated() {
                if let owner = owners.updateValue(site.name, forKey: name) {
                    let other = owner == site.name ? "twice in this site" : "by site \(owner.quoted) too"
                    reader.plainError(
                        "match: \(name.quoted) is matched \(other)",
                        at: reader.origin("sites.\(site.name).match.#\(index)")
                    )
                }
            }
        }
    }

    private func checkTimes(_ site: GatewayConfiguration.Site, _ path: String, _ reader: inout ConfigurationReader) {
        if site.loadTimeout < site.operationTimeout,
            !reader.hasFailed(path + ".load_timeout"), !reader.hasFailed(path + ".operation_timeout")
        {
            let key = reader.isGiven(path + ".load_timeout") ? "load_timeout" : "operation_timeout"
            reader.plainError(
                """
                \(key): load_timeout (\(DurationText.render(site.loadTimeout))) must not be shorter than \
                operation_timeout (\(DurationText.render(site.operationTimeout)))
                """,
                at: reader.origin("\(path).\(key)")
            )
        }
        guard !reader.hasFailed(path + ".idle_lifetime") else { return }
        if site.idleLifetime > site.absoluteLifetime, !reader.hasFailed(path + ".absolute_lifetime") {
            reader.add(
                .warning,
                "idle_lifetime: has no effect beyond absolute_lifetime (\(DurationText.render(site.absoluteLifetime)))",
                at: reader.origin(path + ".idle_lifetime")
            )
        } else if site.hasServers, site.database.url == nil, site.idleLifetime > site.maximumItemAge,
            !reader.hasFailed(path + ".max_item_age")
        {
            reader.add(
                .warning,
                """
                idle_lifetime: sessions end after max_item_age (\(DurationText.render(site.maximumItemAge))) without \
                a request
                """,
                at: reader.origin(path + ".idle_lifetime")
            )
        }
    }

    private func checkServers(_ site: GatewayConfiguration.Site, _ path: String, _ reader: inout ConfigurationReader) {
        let origin = reader.origin(path + ".servers")
        guard site.hasServers else {
            if reader.isGiven(path + ".redundancy"), !reader.isGiven(path + ".servers") {
                reader.add(
                    .warning,
                    "redundancy: has no effect without servers",
                    at: reader.origin(path + ".redundancy")
                )
            }
            return
        }
        if case .list(let servers) = site.servers {
            var addresses: Set<GatewayConfiguration.Address> = []
            for (index, server) in servers.enumerated() where !addresses.insert(server.address).inserted {
                reader.plainError(
                    "servers: \(server.address) is given twice",
                    at: reader.origin("\(path).servers.#\(index)")
                )
            }
            if !site.ring.usesWeights, servers.contains(where: { $0.weight != 1 }) {
                reader.add(.warning, "servers: the ring \(site.ring.rawValue) takes no notice of weights", at: origin)
            }
        }
        guard !reader.hasFailed(path + ".servers"), !reader.hasFailed(path + ".redundancy") else { return }
        let count = site.servers.count
        let wanted = 2 * site.redundancy - 1
        if site.redundancy > count {
            reader.add(
                .warning,
                """
                redundancy: there are fewer servers (\(count)) than copies (\(site.redundancy)): nothing will be \
                acknowledged as saved, everything is degraded
                """,
                at: reader.isGiven(path + ".redundancy") ? reader.origin(path + ".redundancy") : origin
            )
        } else if count < wanted {
            reader.add(
                .warning,
                """
                servers: \(site.redundancy) copies want \(wanted) servers; with \(count), sessions are degraded while \
                \(count - site.redundancy + 1) of them \(count == site.redundancy ? "is" : "are") away
                """,
                at: origin
            )
        }
    }

    /// What browsers refuse (RFC 6265bis §4.1.3, §5.7): prefixes are compared without regard to case.
    private func checkCookie(_ cookie: GatewayConfiguration.Cookie, _ path: String, _ reader: inout ConfigurationReader)
    {
        guard
            !["name", "secure", "http_only", "path", "domain", "same_site"].contains(where: {
                reader.hasFailed("\(path).\($0)")
            })
        else { return }
        let name: String
        let subject: String
        switch cookie.name {
        case .automatic:
            name = "__Host-session"
            subject = "auto, which is __Host-session under HTTPS,"
        case .fixed(let fixed):
            name = fixed
            subject = fixed
        }
        let isHost = name.lowercased().hasPrefix("__host-") || name.lowercased().hasPrefix("__host-http-")
        let isSecure = name.lowercased().hasPrefix("__secure-") || name.lowercased().hasPrefix("__http-")
        let isHTTPOnly = name.lowercased().hasPrefix("__host-http-") || name.lowercased().hasPrefix("__http-")
        func fail(_ key: String, _ message: String) {
            let place = reader.isGiven("\(path).\(key)") ? key : "name"
            reader.plainError("\(key): \(message)", at: reader.origin("\(path).\(place)"))
        }
        if isHost || isSecure, cookie.secure == .never {
            fail("secure", "\(subject) needs secure: auto or always; browsers refuse it otherwise")
        }
        if isHTTPOnly, !cookie.httpOnly {
            fail("http_only", "\(subject) needs http_only: true; browsers refuse it otherwise")
        }
        if isHost, cookie.path != "/" {
            fail("path", "\(subject) needs the path /; browsers refuse it otherwise")
        }
        if isHost, cookie.domain != nil {
            fail("domain", "\(subject) can have no domain; browsers refuse it otherwise")
        }
        if cookie.sameSite == .none, cookie.secure == .never {
            fail("same_site", "none needs secure: auto or always; browsers refuse it otherwise")
        }
    }

    private func checkAdapter(_ site: GatewayConfiguration.Site, _ path: String, _ reader: inout ConfigurationReader) {
        guard site.adapter == .php, !reader.hasFailed(path + ".adapter") else {
            if site.adapter == .none, reader.isGiven(path + ".adapter_file"), !reader.hasFailed(path + ".adapter") {
                reader.add(
                    .warning,
                    "adapter_file: has no effect without adapter: php",
                    at: reader.origin(path + ".adapter_file")
                )
            }
            return
        }
        let origin = reader.origin(path + ".adapter")
        if case .cgi = site.backend, !reader.hasFailed(path + ".backend") {
            reader.plainError("adapter: php is for php-fpm: it needs a fastcgi backend", at: origin)
        }
        if site.contract == .modSession {
            reader.plainError("adapter: php speaks the contract standard, not mod_session", at: origin)
        }
    }

    private func checkBackend(_ site: GatewayConfiguration.Site, _ path: String, _ reader: inout ConfigurationReader) {
        switch site.backend {
        case .fastCGI(let backend):
            guard !reader.hasFailed(path + ".fastcgi") else { return }
            var addresses: Set<GatewayConfiguration.Address> = []
            for (index, upstream) in backend.upstreams.enumerated() {
                let origin = reader.origin("\(path).fastcgi.#\(index)")
                if !addresses.insert(upstream).inserted {
                    reader.plainError("fastcgi: \(upstream) is given twice", at: origin)
                }
                if self.configuration.listeners.contains(where: { $0.address == upstream }) {
                    reader.plainError(
                        "fastcgi: \(upstream) is where the gateway itself listens",
                        at: origin
                    )
                }
            }
        case .cgi(let backend):
            if backend.root == "/", !reader.hasFailed(path + ".cgi") {
                reader.plainError(
                    "cgi: / would make every program of this machine a script",
                    at: reader.origin(path + ".cgi")
                )
            }
        }
    }
}
