import ArgumentParser

@main
struct SessionGateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session-gateway",
        abstract: "Loads visitors' sessions from replicated memcached in front of FastCGI and CGI applications.",
        version: "0.1.0",
        subcommands: [
            Run.self, Check.self, RingCommand.self, StatusCommand.self, VerifyCommand.self, RepairCommand.self,
            DrainCommand.self, UndrainCommand.self, DatabaseCommand.self, ReapCommand.self,
        ]
    )
}
