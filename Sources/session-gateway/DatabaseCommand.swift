import ArgumentParser
import Configuration
import Gateway

struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database",
        abstract: "Look after the databases of a configuration.",
        subcommands: [Migrate.self]
    )

    /// Exit status 0: the tables have this program's version; 1: they have not.
    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the tables that sessions are kept in, or bring them to this program's version.",
            discussion: """
                Gateways do it by themselves at their start, unless 'migrate: manual' stands in the configuration. It may \
                be run while gateways of the older version are at work. Tables that are newer than this program are left \
                as they are, and that is an error.
                """
        )

        @Option(name: [.long, .short], help: "The configuration file.")
        var config: String

        func run() async throws {
            let result = ConfigurationSource.file(self.config).load()
            guard let configuration = result.configuration else {
                StandardError.write(result.diagnostics.map(\.description))
                throw ExitCode(1)
            }
            try await MaintenanceCommand.perform {
                let migrations = try await DatabaseMaintenance.migrate(configuration)
                if migrations.isEmpty { print("no site has a database") }
                for migration in migrations {
                    print(
                        migration.from == migration.to
                            ? "\(migration.name): version \(migration.to), as it was"
                            : "\(migration.name): version \(migration.from) to \(migration.to)"
                    )
                }
            }
        }
    }
}
