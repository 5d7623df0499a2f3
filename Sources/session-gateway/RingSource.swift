import ArgumentParser
import Configuration
import Gateway
import Sessions

/// Makes rings of what the command line names.
struct RingSource {
    let site: String?
    let placement: RingPlacement
    /// Servers of each key; nil: by the redundancy.
    let count: Int?

    /// Where nothing says otherwise, as in a configuration.
    private static let redundancy = GatewayConfiguration.Site().redundancy

    /// - Parameter kind: another ring than the file's.
    /// - Throws: `ExitCode` after a message about the file, `ValidationError` about the command line.
    func layout(file: String, kind: RingKind?) throws -> RingLayout {
        let (site, ring) = try self.ring(file: file, kind: kind)
        return try self.layout(
            ring,
            redundancy: site.redundancy,
            remedy: "say --ring \(self.placement.rings[0].rawValue)"
        )
    }

    /// The same with the file's own ring: what is compared is what would be put in force.
    func layout(comparedFile file: String) throws -> RingLayout {
        let (site, ring) = try self.ring(file: file, kind: nil)
        return try self.layout(ring, redundancy: site.redundancy, remedy: "change the ring in \(file)")
    }

    /// - Parameter kind: nil: the default of the program whose rule is asked for.
    /// - Throws: `ValidationError`
    func layout(servers: String, kind: RingKind?) throws -> RingLayout {
        let parsed: [RingServer]
        do {
            parsed = try PHPSavePath.parse(servers)
        } catch {
            throw ValidationError("--servers: \(error)")
        }
        guard Ring.takes(parsed) else { throw ValidationError("--servers: \(Ring.limits).") }
        let ring = Ring(kind: kind ?? self.placement.rings[0], servers: parsed)
        return try self.layout(
            ring,
            redundancy: Self.redundancy,
            remedy: "say --ring \(self.placement.rings[0].rawValue)"
        )
    }

    private func layout(_ ring: Ring, redundancy: Int, remedy: String) throws -> RingLayout {
        let count = self.count ?? self.placement.servers(redundancy: redundancy)
        guard let layout = RingLayout(ring: ring, placement: self.placement, count: count) else {
            let rings = self.placement.rings.map(\.rawValue).joined(separator: " or ")
            throw ValidationError(
                "--placement \(self.placement.rawValue) goes with \(rings), not with \(ring.kind.rawValue): \(remedy)."
            )
        }
        return layout
    }

    private func ring(file: String, kind: RingKind?) throws -> (site: GatewayConfiguration.Site, ring: Ring) {
        let site = try SiteSource(file: file, site: self.site).load()
        let ring: Ring?
        do {
            ring = try Ring(site, kind: kind)
        } catch {
            StandardError.write(["\(file): error: \(error)"])
            throw ExitCode(1)
        }
        guard let ring else {
            throw ValidationError("\(file): site '\(site.name)' has no servers, so its requests have no sessions.")
        }
        return (site, ring)
    }
}
