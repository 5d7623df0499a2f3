/// A memcached on a port of its own, which it keeps over restarts.
package final class MemcachedProcess: Sendable {
    package let port: Int
    private let directory: TemporaryDirectory
    private let place: ProcessPlace
    private let arguments: [String]
    private let running = RunningProcess()

    /// - Parameters:
    ///   - arguments: beside address and user, for example `-m 64`, `-I 2m`.
    ///   - place: where it listens.
    package init(
        _ arguments: [String] = ["-m", "64", "-I", "4m", "-t", "2"],
        at place: ProcessPlace = .loopback
    ) async throws {
        self.port = try LoopbackPort.unused()
        self.place = place
        self.directory = try TemporaryDirectory()
        self.arguments = arguments
        try await self.start()
    }

    package var address: SocketAddress { .host(self.place.host, port: self.port) }
    /// As it stands in a list of servers.
    package var name: String { "\(self.place.host):\(self.port)" }
    package var process: ServerProcess { get throws { try self.running.process() } }

    /// Starts it, empty, after `kill()`.
    package func start() async throws {
        // A change of user would take the signal at the parent's death away; root stays root.
        let process = try ServerProcess(
            at: self.place,
            Executable.find("memcached", package: "memcached"),
            ["-l", self.place.host, "-p", "\(self.port)", "-U", "0", "-u", "root"] + self.arguments,
            output: self.directory.path("memcached.log")
        )
        try await process.waitUntilReady(self.address)
        self.running.set(process)
    }

    /// Ends it at once: its memory is gone, its connections are reset.
    package func kill() { self.running.set(nil) }

    /// Ends it at once and starts it empty on the same port.
    package func restart() async throws {
        self.kill()
        try await self.start()
    }

    package func freeze() throws { try self.process.freeze() }
    package func thaw() throws { try self.process.thaw() }

    /// Sends a command and reads up to the text that ends its answer.
    package func command(_ line: String, until end: String = "\r\n") throws -> String {
        let socket = try ClientSocket(self.address, timeout: .seconds(10))
        try socket.send(line + "\r\n")
        var answer = ""
        while !answer.hasSuffix(end) {
            let piece = try socket.receive()
            if piece.isEmpty { break }
            answer += String(decoding: piece, as: UTF8.self)
        }
        return answer
    }

    /// `stats`, by name.
    package func statistics() throws -> [String: String] {
        var statistics: [String: String] = [:]
        for line in try self.command("stats", until: "END\r\n").split(separator: "\r\n") {
            let words = line.split(separator: " ", maxSplits: 2)
            if words.count == 3, words[0] == "STAT" { statistics[String(words[1])] = String(words[2]) }
        }
        return statistics
    }
}
