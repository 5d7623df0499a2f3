import GatewayTesting
import Testing

/// What the program says of itself.
struct ProgramTests {
    @Test func itSaysItsVersion() async throws {
        let run = try await ProgramRun(["--version"])
        #expect(run.exit == .status(0) && run.errors.isEmpty)
        #expect(run.output.wholeMatch(of: /[0-9]+\.[0-9]+\.[0-9]+\n/) != nil, "\(run.output)")
    }

    @Test(arguments: [
        [], ["run"], ["check"], ["ring"], ["verify"], ["repair"], ["status"], ["drain"], ["undrain"], ["reap"],
        ["database"],
    ])
    func itSaysHowItIsUsed(_ command: [String]) async throws {
        let run = try await ProgramRun(command + ["--help"])
        #expect(run.exit == .status(0) && run.errors.isEmpty)
        #expect(run.output.contains("session-gateway \(command.first ?? "")"), "\(run.output)")
    }

    @Test(arguments: [["--unknown"], ["run"], ["run", "--config", "a", "--listen", "b"], ["nothing"]])
    func whatItCannotDoIsAUsageError(_ arguments: [String]) async throws {
        let run = try await ProgramRun(arguments)
        #expect(run.exit == .status(64) && run.errors.contains("Usage: session-gateway"), "\(run.errors)")
        #expect(run.output.isEmpty)
    }
}
