import Glibc

extension ConfigurationRules {
    /// - Parameter path: of the site.
    static func checkAdoption(
        _ site: GatewayConfiguration.Site,
        _ path: String,
        _ reader: inout ConfigurationReader
    ) {
        let section = path + ".adopt"
        guard let adoption = site.adoption, !reader.hasFailed(section) else { return }
        let sources = ["memcache", "memcached", "files", "redis"].filter { reader.isGiven("\(section).\($0)") }
        guard sources.count == 1 else {
            reader.plainError(
                "adopt: needs exactly one of memcache, memcached, files and redis",
                at: reader.origin(section)
            )
            return
        }
        if case .automatic = site.cookie.name, !reader.hasFailed(path + ".cookie") {
            reader.plainError(
                "adopt: needs the application's cookie, for example cookie: {name: PHPSESSID}",
                at: reader.origin(section)
            )
        }
        if let ring = adoption.ring {
            let rings: [GatewayConfiguration.Ring] =
                adoption.memcache != .none ? [.peclCRC32, .peclFNV] : [.ketama, .ketamaWeighted]
            if ["memcache", "memcached"].contains(sources[0]), !rings.contains(ring) {
                reader.plainError(
                    "ring: \(sources[0]) has \(rings.map(\.rawValue).joined(separator: " and ")), not \(ring.rawValue)",
                    at: reader.origin(section + ".ring")
                )
            }
        }
        let known: [String: Set<String>] = [
            "memcache": ["redundancy", "ring", "prefix"], "memcached": ["redundancy", "ring", "prefix"],
            "files": ["owner", "lifetime"], "redis": ["prefix"],
        ]
        for key in ["redundancy", "ring", "prefix", "owner", "lifetime"]
        where reader.isGiven("\(section).\(key)") && known[sources[0]]?.contains(key) == false {
            reader.add(.warning, "\(key): has no effect with \(sources[0])", at: reader.origin("\(section).\(key)"))
        }
        if let until = adoption.until, until.milliseconds <= UInt64(max(time(nil), 0)) * 1_000 {
            reader.add(
                .warning,
                "until: is over: nothing is taken over any more",
                at: reader.origin(section + ".until")
            )
        }
    }
}
