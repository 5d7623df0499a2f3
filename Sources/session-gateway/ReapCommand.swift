import ArgumentParser
import Configuration
import Gateway
import Store

/// Exit status 0: the pass came to its end, or another gateway was at it; 1: it could not.
struct ReapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reap",
        abstract: "Walk over the due rows of a site's database now.",
        discussion: """
            Gateways do the same by themselves every 'reap_interval'. What lives in memcached gets its latest state and \
            expiry, what has ended goes, with a line in the 'session_log'. One walks at a time: beside a gateway that is \
            at it nothing is done.
            """
    )

    @Option(name: [.long, .short], help: "The configuration file.")
    var config: String

    @Option(help: "The site in the configuration; not needed where there is only one.")
    var site: String?

    func run() async throws {
        let result = ConfigurationSource.file(self.config).load()
        guard let configuration = result.configuration else {
            StandardError.write(result.diagnostics.map(\.description))
            throw ExitCode(1)
        }
        let names = configuration.sites.filter { $0.sessionsOf == nil }.map(\.name)
        guard let name = self.site ?? (names.count == 1 ? names[0] : nil), names.contains(name) else {
            StandardError.write(["Error: --site is one of \(names.joined(separator: ", "))."])
            throw ExitCode.validationFailure
        }
        try await MaintenanceCommand.perform {
            // The pass reports from one task.
            nonisolated(unsafe) let display = ProgressDisplay(verb: "reaped")
            let report = try await DatabaseMaintenance.reap(
                configuration,
                site: name,
                logger: MaintenanceCommand.logger
            ) { rows, total in
                // Of as many as nobody could count, none is known to be the last.
                let share = total.map { $0 == 0 ? 1 : Double(rows) / Double($0) } ?? 0
                display.show(sessions: rows, share: share)
            }
            display.end()
            if report.isFollower {
                print("another gateway is walking over the rows")
            } else {
                print(
                    """
                    \(report.rows) rows were due: \(report.expired) ended, \(report.refreshed) live in memcached, \
                    \(report.postponed) are not over yet
                    """
                )
            }
        }
    }
}
