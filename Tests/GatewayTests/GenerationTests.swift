import Configuration
import Foundation
import GatewayTesting
import Logging
import Testing

@testable import Gateway

struct GenerationTests {
    /// Descriptors of this process that lead into a directory.
    private static func openFiles(in directory: String) -> Int {
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return numbers.count { number in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
            return target?.hasPrefix(directory) ?? false
        }
    }

    /// Two sites, the first in a file of its own.
    private static func configuration(_ state: String, second: String) throws -> GatewayConfiguration {
        try ConfigurationFile.parse(
            """
            state_directory: \(state)
            sites:
              a:
                backend: {fastcgi: "127.0.0.1:1"}
              b:
                database: \(second)
                backend: {fastcgi: "127.0.0.1:1"}
            """,
            name: "g.yaml"
        ).get()
    }

    @Test func aConfigurationThatCannotBePutInForceLeavesNothingOpen() async throws {
        let directory = try TemporaryDirectory()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        try directory.write("file", "")
        // One that cannot be opened, and one that is opened and has no tables.
        let unusable = [
            "\"sqlite:\(directory.path("file/b.sqlite"))\"",
            "{url: \"sqlite:\(directory.path("empty.sqlite"))\", migrate: manual}",
        ]
        for second in unusable {
            let configuration = try Self.configuration(directory.path("state"), second: second)
            await #expect(throws: GatewayError.self) {
                try await Generation.prepare(configuration, logger: logger)
            }
            #expect(Self.openFiles(in: directory.path) == 0)
        }
        let usable = "\"sqlite:\(directory.path("b.sqlite"))\""
        let configuration = try Self.configuration(directory.path("state"), second: usable)
        let generation = try await Generation.prepare(configuration, logger: logger)
        #expect(Self.openFiles(in: directory.path) > 0)
        await generation.discard()
        #expect(Self.openFiles(in: directory.path) == 0)
    }
}
