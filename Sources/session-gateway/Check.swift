import ArgumentParser
import Configuration

extension SessionGateway {
    /// Exit status 0: the configuration can be used; 1: it cannot.
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a configuration, and show it with all its defaults."
        )

        @Option(name: [.long, .short], help: "The configuration file.")
        var config: String?

        @Flag(help: ArgumentHelp("Print the reference of all keys as Markdown.", visibility: .hidden))
        var reference = false

        func validate() throws {
            if self.config == nil, !self.reference {
                throw ValidationError("Missing expected argument '--config <config>'")
            }
        }

        func run() throws {
            if self.reference {
                print(ConfigurationReference.markdown, terminator: "")
            }
            guard let config = self.config else { return }
            let result = ConfigurationSource.file(config).load()
            StandardError.write(result.diagnostics.map(\.description))
            guard let configuration = result.configuration else { throw ExitCode(1) }
            print("OK")
            print(configuration.yaml, terminator: "")
        }
    }
}
