/// Where a program runs: on this machine's loopback, or in a network namespace of its own.
package struct ProcessPlace: Sendable {
    /// Where it listens.
    package var host: String
    /// What its command line begins with.
    package var command: [String]

    package static let loopback = ProcessPlace(host: "127.0.0.1", command: [])

    package init(host: String, command: [String]) {
        self.host = host
        self.command = command
    }
}

extension ServerProcess {
    package convenience init(
        at place: ProcessPlace,
        _ executable: String,
        _ arguments: [String],
        environment: [String: String] = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"],
        directory: String? = nil,
        output: String,
        deathSignal: String = "KILL"
    ) throws {
        let line = place.command + [executable] + arguments
        try self.init(
            line[0],
            Array(line.dropFirst()),
            environment: environment,
            directory: directory,
            output: output,
            deathSignal: deathSignal
        )
    }
}
