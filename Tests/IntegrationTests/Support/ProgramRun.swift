import GatewayTesting

/// One run of the program to its end.
struct ProgramRun {
    let exit: ServerProcess.Exit
    let output: String
    let errors: String

    var lines: [Substring] { self.output.split(separator: "\n") }
    var last: String { self.lines.last.map(String.init) ?? "" }

    /// - Parameter output: a file that takes the place of its own.
    init(_ arguments: [String], input: String = "", output: String = "output") async throws {
        let directory = try TemporaryDirectory()
        try directory.write("input", input)
        let process = try ServerProcess(
            "/bin/sh",
            ["-c", "exec \"$0\" \"$@\" <input >\(output) 2>errors", try Executable.built("session-gateway")]
                + arguments,
            directory: directory.path,
            output: directory.path("shell")
        )
        self.exit = try await process.waitForEnd(within: .seconds(60))
        self.output = directory.read("output")
        self.errors = directory.read("errors")
    }
}
