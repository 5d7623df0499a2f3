import ArgumentParser
import Gateway
import Memcached
import Store

/// Exit status 0: every session has its copies, every server is complete; 1: some could not be repaired, or the
/// configuration cannot be used; 2: a server could not be reached; 64: what was asked for cannot be.
struct RepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Give every session all of its copies again, and every server what belongs there.",
        usage: "session-gateway repair --config <file> [--site <site>] [--rate <sessions per second>]",
        discussion: """
            Walks over all sessions now. Gateways do the same by themselves for a server that came back empty; this is \
            for what was lost otherwise, and to be sure. It may be run beside gateways at work: it writes as they do, so \
            nothing newer is overwritten, and no expiry slides.

            A server that was incomplete is "refilled", or "accepted" where as many servers as there are copies have lost \
            their memory and nobody is left who knows more.

            Exit status: 0, every session has its copies; 1, some could not be repaired (or the configuration cannot be \
            used); 2, a server could not be reached or its keys not be listed; 64, the command line is wrong.
            """
    )

    private static let defaultRate = 10_000

    @Option(name: [.long, .short], help: "The configuration file.")
    var config: String

    @Option(help: "The site in the configuration; not needed where only one has servers of its own.")
    var site: String?

    @Option(help: "The most sessions per second; 0: as fast as it goes.")
    var rate = Self.defaultRate

    func validate() throws {
        if self.rate < 0 { throw ValidationError("--rate is a number from 0.") }
    }

    func run() async throws {
        let site = try MaintenanceCommand.site(config: self.config, name: self.site)
        let rate = self.rate == 0 ? nil : self.rate
        let logger = MaintenanceCommand.logger
        let started = ContinuousClock.now
        let report = try await MaintenanceCommand.perform {
            try await StoreMaintenance.withPool(of: site, logger: logger) { pool in
                let display = ProgressDisplay(verb: "repaired")
                let repairer = Repairer(pool: pool, rate: rate, logger: logger)
                let report = await repairer.run { display.show(sessions: $0.sessions, share: $1) }
                display.end()
                return report
            }
        }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        for line in ReportText.lines(report, seconds: seconds) { print(line) }
        if report.hasUnreachableServers { throw ExitCode(2) }
        if !report.isInOrder { throw ExitCode(1) }
    }
}
