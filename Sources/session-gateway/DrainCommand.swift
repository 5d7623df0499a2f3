import ArgumentParser
import Gateway
import Store

/// Exit status 0: done; 1: refused, or the configuration cannot be used; 2: not reached; 64: what was asked for cannot be.
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Empty a server before a planned reboot.",
        usage: "session-gateway drain <server> --config <file> [--site <site>]",
        discussion: """
            From then on the server holds nothing new, and every session that it has is brought to other servers; gateways \
            agree on that through the servers themselves. When the command has ended with status 0 no session depends on \
            the server, and it may be stopped. After the reboot a gateway fills it; then undrain it.

            Exit status: 0, it is safe to take the server down; 1, refused (the text says why), or the configuration \
            cannot be used; 2, not reached, try again; 64, the command line is wrong.
            """
    )

    @OptionGroup var target: DrainTarget

    func run() async throws {
        let server = self.target.server
        try await self.target.perform {
            await $0.drain(server, progress: $1)
        } success: {
            "\(server) is drained, \($0) sessions were moved: it is safe to take it down"
        }
    }
}

/// Exit status as of `drain`.
struct UndrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undrain",
        abstract: "Let a drained server hold sessions again.",
        usage: "session-gateway undrain <server> --config <file> [--site <site>]",
        discussion: """
            Refused until a gateway has filled the server after its reboot. Sessions that belong on it are brought back.

            Exit status: 0, done; 1, refused (the text says why), or the configuration cannot be used; 2, not reached, try \
            again; 64, the command line is wrong.
            """
    )

    @OptionGroup var target: DrainTarget

    func run() async throws {
        let server = self.target.server
        try await self.target.perform {
            await $0.undrain(server, progress: $1)
        } success: {
            "\(server) holds sessions again, \($0) were written anew"
        }
    }
}

/// Which server, of which site.
struct DrainTarget: ParsableArguments {
    @Argument(help: "The server, as in the configuration: host:port or unix:/path.")
    var server: String

    @Option(name: [.long, .short], help: "The configuration file.")
    var config: String

    @Option(help: "The site in the configuration; not needed where only one has servers of its own.")
    var site: String?

    /// - Throws: `ExitCode` where it is not done.
    func perform(
        _ work: @escaping @Sendable (Drainer, @escaping (Int, Double) -> Void) async -> Drainer.Outcome,
        success: (Int) -> String
    ) async throws {
        let logger = MaintenanceCommand.logger
        let site = try MaintenanceCommand.site(config: self.config, name: self.site)
        let outcome = try await MaintenanceCommand.perform {
            try await StoreMaintenance.withPool(of: site, logger: logger) { pool in
                let display = ProgressDisplay(verb: "moved")
                let outcome = await work(Drainer(pool: pool, logger: logger)) { display.show(sessions: $0, share: $1) }
                display.end()
                return outcome
            }
        }
        try outcome.report(success)
    }
}

extension Drainer.Outcome {
    /// - Throws: `ExitCode` where it is not done.
    fileprivate func report(_ success: (Int) -> String) throws {
        switch self {
        case .done(let moved):
            print(success(moved))
        case .refused(let reason):
            StandardError.write(["session-gateway: refused: \(reason)"])
            throw ExitCode(1)
        case .failed(let reason):
            StandardError.write(["session-gateway: \(reason)"])
            throw ExitCode(2)
        }
    }
}
