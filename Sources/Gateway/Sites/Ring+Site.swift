package import Configuration
package import Sessions
import Store

extension Ring {
    /// The ring of a site as the gateway uses it.
    ///
    /// - Parameter kind: another ring with the site's servers.
    /// - Returns: nil where the site has no servers.
    /// - Throws: with a text for the operator, where the servers cannot be used.
    package init?(_ site: GatewayConfiguration.Site, kind: RingKind? = nil) throws(GatewayError) {
        let kind = kind ?? RingKind(site.ring)
        let servers = try StoreConfiguration.servers(of: site, ring: kind).map(\.ringServer)
        guard !servers.isEmpty else { return nil }
        guard Ring.takes(servers) else {
            throw GatewayError("site \(site.name): servers: \(Ring.limits)")
        }
        self.init(kind: kind, servers: servers)
    }
}
