import ArgumentParser
import Configuration
import Gateway
import Glibc
import Logging
import Memcached
import Sessions
import Store

/// Exit status 0: all is complete; 1: something is missing, older, corrupt or incomplete, or the configuration cannot be
/// used; 2: a server could not be reached; 64: what was asked for cannot be.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare the copies of every session across its servers.",
        usage: "session-gateway verify --config <file> [--site <site>] [--sample <sessions>] [--list]",
        discussion: """
            Only reads: no expiry slides and nothing is written. What looks wrong is read again, until it has stayed the \
            same for longer than any write takes, before it is counted; so it may be run beside gateways at work.

            Of each server: copies, those it should have and has; missing, it should have one and has none; older, it \
            has one from before the last write; corrupt, a value that does not decode or is another session's; leftover, \
            traces of slow writes where no copy belongs, which do no harm; misplaced, keys that belong on other servers. \
            A server is incomplete from its restart until it has been given back what belongs there.

            Exit status: 0, every session and server is complete; 1, something is not (or the configuration cannot be \
            used); 2, a server could not be reached or its keys not be listed, whatever was found on the others; 64, the \
            command line is wrong.
            """
    )

    @Option(name: [.long, .short], help: "The configuration file.")
    var config: String

    @Option(help: "The site in the configuration; not needed where only one has servers of its own.")
    var site: String?

    @Option(help: "Compare so many sessions, chosen at random.")
    var sample: Int?

    @Flag(help: "Print what was found of which key before the table: finding, server and key as CSV.")
    var list = false

    func validate() throws {
        if let sample = self.sample, sample < 1 { throw ValidationError("--sample is a number from 1.") }
    }

    func run() async throws {
        let site = try MaintenanceCommand.site(config: self.config, name: self.site)
        let (sample, lists) = (self.sample, self.list)
        let logger = MaintenanceCommand.logger
        let report = try await MaintenanceCommand.perform {
            try await StoreMaintenance.withPool(of: site, logger: logger) { pool in
                let display = ProgressDisplay(verb: "compared")
                var output = StandardOutput()
                var failure: (any Error)?
                let report = await Verifier(pool: pool, logger: logger).run(sample: sample) { fault in
                    guard lists else { return }
                    output.field(fault.finding.rawValue)
                    output.field("\(fault.address)")
                    output.field(fault.key.text)
                    do { try output.endLine() } catch { failure = error }
                } progress: {
                    display.show(sessions: $0, share: $1)
                }
                display.end()
                if let failure { throw failure }
                try output.flush()
                return report
            }
        }
        for line in ReportText.lines(report) { print(line) }
        if report.hasUnreachableServers { throw ExitCode(2) }
        if !report.isInOrder { throw ExitCode(1) }
    }
}
