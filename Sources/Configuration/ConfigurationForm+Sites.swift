/// Forms that occur once.
extension ConfigurationForm where Value == [GatewayConfiguration.Site] {
    /// A mapping from names to sites.
    static var sites: Self {
        ConfigurationForm(
            name: "mapping",
            range: "names of 1 to 32 of A-Z a-z 0-9 . _ -",
            read: { node, reader in
                guard case .mapping(let entries) = node.content else {
                    reader.error("expected a mapping from names to sites, found \(node.kind)", at: node.origin)
                    return nil
                }
                guard !entries.isEmpty else {
                    reader.error("the mapping is empty; the gateway needs a site", at: node.origin)
                    return nil
                }
                return entries.map { entry in
                    reader.within(entry.key, at: entry.keyOrigin) { reader in
                        var site = GatewayConfiguration.Site()
                        site.name = entry.key
                        if !SiteName.isValid(entry.key) {
                            reader.plainError(
                                "\(entry.key.quoted) is not a site's name: 1 to 32 of A-Z a-z 0-9 . _ -",
                                at: entry.keyOrigin
                            )
                        }
                        let value = entry.value
                        let origin = value.content == .empty ? entry.keyOrigin : value.origin
                        reader.read(ConfigurationNode(value.content, at: origin), into: &site)
                        return site
                    }
                }
            },
            render: { sites in
                .mapping(
                    sites.map { site in
                        (site.name, .mapping(site.ownKeys.map { ($0.name, $0.render(site)) }))
                    }
                )
            }
        )
    }
}

enum SiteName {
    static func isValid(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default:
                    false
                }
            }
    }
}

extension ConfigurationForm where Value == String {
    static var siteName: Self {
        .text("name", range: "a site's name") { SiteName.isValid($0) ? nil : "is not a site's name" }
    }

    /// A SERVER_NAME, or `*.` and one.
    static var serverName: Self {
        .scalar("name", range: "a host name, or *. and one", render: { $0 }) {
            (text, _) throws(ConfigurationValueProblem) in
            let name = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
            guard GatewayConfiguration.Address.isHostName(name) else {
                throw ConfigurationValueProblem(
                    "\(text.quoted) is not a host name; a * may stand for the first labels only, as in \"*.example.com\""
                )
            }
            return text.lowercased()
        }
    }

    static var keyPrefix: Self {
        .text(range: "at most 64 printable ASCII characters, no blanks") { text in
            text.utf8.count <= 64 && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
                ? nil : "must have at most 64 printable ASCII characters and no blanks"
        }
    }

    static var cookiePath: Self {
        .text("path", range: "starts with /") { text in
            text.hasPrefix("/") && text.utf8.count <= 1_024
                && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ";") }
                ? nil : "must start with / and have no blanks, semicolons or control characters"
        }
    }

    static var cookieDomain: Self {
        .text("name", range: "a host name") { text in
            // One leading dot is what old applications write; browsers drop it.
            let name = text.hasPrefix(".") ? text.dropFirst() : text[...]
            let labels = name.split(separator: ".", omittingEmptySubsequences: false)
            return GatewayConfiguration.Address.isHostName(text)
                && labels.allSatisfy { (1...63).contains($0.utf8.count) }
                ? nil : "is not a host name: labels of 1 to 63 bytes with one dot between them"
        }
    }

    /// A name of a parameter that a script may get beyond the usual ones.
    static var passedName: Self {
        .text("name", range: "[A-Za-z_][A-Za-z0-9_]*") { EnvironmentName.problem($0, allowsLoaderNames: false) }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.Cookie.Name {
    static var cookieName: Self {
        .scalar(
            "name",
            range: "auto, or a cookie's name (a token of RFC 9110, at most 128 bytes)",
            render: { name in
                switch name {
                case .automatic: "auto"
                case .fixed(let name): name
                }
            }
        ) { (text, _) throws(ConfigurationValueProblem) in
            if text == "auto" { return .automatic }
            guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy(Self.isTokenByte) else {
                throw ConfigurationValueProblem(
                    "\(text.quoted) is not a cookie's name: letters, digits and !#$%&'*+-.^_`|~ only"
                )
            }
            return .fixed(text)
        }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default:
            "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.DatabaseURL {
    static var databaseURL: Self {
        .scalar(
            "URL",
            range: "sqlite:/path, postgresql://… or mariadb://…",
            render: \.description
        ) { (text, _) throws(ConfigurationValueProblem) in
            do throws(GatewayConfiguration.DatabaseURL.Problem) {
                return try GatewayConfiguration.DatabaseURL(text)
            } catch {
                throw ConfigurationValueProblem(error.message)
            }
        }
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.Servers {
    /// A list of servers, or PHP's save path in one string.
    static var servers: Self {
        let list = ConfigurationForm<GatewayConfiguration.Server>.section().list(named: "list of servers")
        return ConfigurationForm(
            name: "list or text",
            range: "host:port or unix:/path, with weight: 1 to 1000 where wanted; or a save_path of PHP",
            read: { node, reader in
                guard case .scalar(let text, _) = node.content else {
                    return list.read(node, &reader).map { .list($0) }
                }
                guard !text.isEmpty, text.utf8.count <= 8_192, !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
                else {
                    reader.error("a save path has 1 to 8,192 bytes and no control characters", at: node.origin)
                    return nil
                }
                let servers = GatewayConfiguration.Servers.savePath(text)
                guard servers.count > 0 else {
                    reader.error("no server in \(text.quoted)", at: node.origin)
                    return nil
                }
                return servers
            },
            render: { servers in
                switch servers {
                case .none: .unset
                case .list(let servers): list.render(servers)
                case .savePath(let text): .scalar(text)
                }
            }
        )
    }
}

extension ConfigurationForm where Value == GatewayConfiguration.Backend {
    /// A mapping that has either `fastcgi` or `cgi`, which decides what else it can have.
    static var backend: Self {
        ConfigurationForm(
            name: "mapping",
            range: "with fastcgi or cgi",
            read: { node, reader in
                let fastCGI = node.entry("fastcgi")
                let cgi = node.entry("cgi")
                switch (fastCGI, cgi) {
                case (.some, .some(let second)):
                    reader.error("has both fastcgi and cgi; a site has one backend", at: second.keyOrigin)
                    return nil
                case (.some, nil):
                    var backend = GatewayConfiguration.FastCGI()
                    reader.read(node, into: &backend)
                    return .fastCGI(backend)
                case (nil, .some):
                    var backend = GatewayConfiguration.CGI()
                    reader.read(node, into: &backend)
                    return .cgi(backend)
                case (nil, nil):
                    reader.error("needs fastcgi: ADDRESS or cgi: DIRECTORY", at: node.origin)
                    return nil
                }
            },
            render: { backend in
                switch backend {
                case .fastCGI(let backend):
                    .mapping(GatewayConfiguration.FastCGI.keys.map { ($0.name, $0.render(backend)) })
                case .cgi(let backend):
                    .mapping(GatewayConfiguration.CGI.keys.map { ($0.name, $0.render(backend)) })
                }
            }
        )
    }
}

extension ConfigurationForm where Value == [String: String] {
    /// Names and values of environment variables.
    static var environment: Self {
        ConfigurationForm(
            name: "mapping",
            range: "names of the form [A-Za-z_][A-Za-z0-9_]*",
            read: { node, reader in
                guard case .mapping(let entries) = node.content, entries.count <= 1_024 else {
                    reader.error("expected a mapping from names to values, found \(node.kind)", at: node.origin)
                    return nil
                }
                var environment: [String: String] = [:]
                for entry in entries {
                    if let problem = EnvironmentName.problem(entry.key, allowsLoaderNames: true) {
                        reader.error("\(entry.key.quoted) \(problem)", at: entry.keyOrigin)
                    }
                    switch entry.value.content {
                    case .scalar(let text, _) where text.utf8.count <= 65_536 && !text.utf8.contains(0):
                        environment[entry.key] = text
                    case .empty:
                        environment[entry.key] = ""
                    case .scalar, .list, .mapping:
                        reader.error(
                            "\(entry.key.quoted) needs a text of at most 64k as its value",
                            at: entry.keyOrigin
                        )
                    }
                }
                return environment
            },
            render: { environment in
                environment.isEmpty
                    ? .unset
                    : .mapping(environment.sorted { $0.key < $1.key }.map { ($0.key, .scalar($0.value)) })
            }
        )
    }
}

enum EnvironmentName {
    /// - Parameter allowsLoaderNames: whether the value comes from the configuration and not from a request.
    static func problem(_ name: String, allowsLoaderNames: Bool) -> String? {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first), name.utf8.count <= 128,
            name.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default:
                    false
                }
            })
        else { return "is not the name of a variable" }
        if name == "HTTP_PROXY" {
            return "is never given to scripts (httpoxy)"
        }
        if name.hasPrefix("SESSION_") || name == "HTTP_SESSION" {
            return "belongs to the contract between gateway and backend"
        }
        if !allowsLoaderNames, Self.isForInterpreters(name) {
            return "changes how programs are loaded; set it with environment: if you must"
        }
        return nil
    }

    private static func isForInterpreters(_ name: String) -> Bool {
        let prefixes = ["LD_", "DYLD_", "PYTHON", "PERL", "RUBY", "BASH_", "MALLOC_", "GLIBC_"]
        let names: Set<String> = [
            "PATH", "IFS", "ENV", "CDPATH", "SHELLOPTS", "BASHOPTS", "PS4", "NODE_OPTIONS", "NODE_PATH",
            "GCONV_PATH", "LOCPATH", "NLSPATH", "RES_OPTIONS", "HOSTALIASES", "TMPDIR", "PHPRC", "PHP_INI_SCAN_DIR",
        ]
        return names.contains(name) || prefixes.contains { name.hasPrefix($0) }
    }
}
