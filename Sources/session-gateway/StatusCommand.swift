import ArgumentParser
import Gateway
import Store

/// Exit status 0: the servers are in force and all are complete; 1: the configuration cannot be used; 2: a server is not
/// reached or not complete, or the servers are being changed.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Which servers are in force, whether they are complete, and how far a change of them is.",
        usage: "session-gateway status --config <file> [--site <site>]",
        discussion: """
            Asks the servers themselves; no gateway need run on this machine. While servers are being changed, the stage \
            is "joining" (sessions are being moved) or "joined" (all are on the new servers, the old ones are still \
            heard), else "stable".

            Exit status: 0, nothing is missing; 1, the configuration cannot be used; 2, a server cannot be reached or is \
            not complete, or the servers are being changed; 64, the command line is wrong.
            """
    )

    @Option(name: [.long, .short], help: "The configuration file.")
    var config: String

    @Option(help: "The site in the configuration; not needed where only one has servers of its own.")
    var site: String?

    func run() async throws {
        let site = try MaintenanceCommand.site(config: self.config, name: self.site)
        let status = try await MaintenanceCommand.perform {
            try await StoreMaintenance.withPool(of: site, logger: MaintenanceCommand.logger) {
                await PoolStatus.read($0)
            }
        }
        for line in status.lines { print(line) }
        if !status.isInOrder { throw ExitCode(2) }
    }
}
