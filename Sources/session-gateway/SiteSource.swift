import ArgumentParser
import Configuration

/// The site of a configuration file that a command is about.
struct SiteSource {
    let file: String
    /// Nil: the only one that has servers of its own.
    let site: String?

    /// - Throws: `ExitCode` after a message about the file, `ValidationError` about the command line.
    func load() throws -> GatewayConfiguration.Site {
        let result = ConfigurationSource.file(self.file).load()
        guard let configuration = result.configuration else {
            StandardError.write(result.diagnostics.map(\.description))
            throw ExitCode(1)
        }
        let names = configuration.sites.map(\.name)
        guard let name = self.site else {
            // Sites that share another's sessions have its ring.
            let own = configuration.sites.filter { $0.sessionsOf == nil && $0.hasServers }
            if own.count == 1 || configuration.sites.count == 1 { return own.first ?? configuration.sites[0] }
            throw ValidationError("\(self.file) has several sites; --site is one of \(names.joined(separator: ", ")).")
        }
        if let site = configuration.sites.first(where: { $0.name == name }) { return site }
        let hint = EditDistance.nearest(to: name, among: names).map { "did you mean '\($0)'?" }
        throw ValidationError(
            "\(self.file): there is no site '\(name)'; \(hint ?? "there is \(names.joined(separator: ", ")).")"
        )
    }
}
