import CGI
import Configuration

/// Which site a request belongs to: named by `SESSION_SITE` (which the web server sets), else matched by `SERVER_NAME`,
/// else the site named `default`. A request that matches none has none: it never gets another site's session.
struct SiteTable: Sendable {
    private let byName: [String: Int]
    private let byHost: [String: Int]
    /// Suffixes with their dot, the longest first.
    private let bySuffix: [(suffix: String, site: Int)]
    private let fallback: Int?

    init(_ sites: [GatewayConfiguration.Site]) {
        var byName: [String: Int] = [:]
        var byHost: [String: Int] = [:]
        var bySuffix: [(suffix: String, site: Int)] = []
        for (index, site) in sites.enumerated() {
            byName[site.name] = index
            for pattern in site.match {
                if pattern.hasPrefix("*.") {
                    bySuffix.append((String(pattern.dropFirst()), index))
                } else {
                    byHost[pattern] = index
                }
            }
        }
        self.byName = byName
        self.byHost = byHost
        self.bySuffix = bySuffix.sorted { $0.suffix.utf8.count > $1.suffix.utf8.count }
        self.fallback = byName["default"]
    }

    /// The index of the request's site.
    func site(of parameters: Parameters) -> Int? {
        if let name = parameters.string("SESSION_SITE"), !name.isEmpty {
            return self.byName[name]
        }
        if !self.byHost.isEmpty || !self.bySuffix.isEmpty,
            let host = parameters.string("SERVER_NAME")?.lowercased(), !host.isEmpty
        {
            if let site = self.byHost[host] { return site }
            if let match = self.bySuffix.first(where: { host.hasSuffix($0.suffix) }) { return match.site }
        }
        return self.fallback
    }
}
