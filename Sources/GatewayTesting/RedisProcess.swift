/// A Redis on a port of its own, which it keeps over restarts.
package final class RedisProcess: Sendable {
    package let port: Int
    private let directory: TemporaryDirectory
    private let password: String?
    private let running = RunningProcess()

    /// - Parameter password: what clients have to know.
    package init(password: String? = nil) async throws {
        self.port = try LoopbackPort.unused()
        self.directory = try TemporaryDirectory()
        self.password = password
        try await self.start()
    }

    package var address: SocketAddress { .port(self.port) }
    package var process: ServerProcess { get throws { try self.running.process() } }

    /// Starts it, empty, after `kill()`.
    package func start() async throws {
        let process = try ServerProcess(
            Executable.find("redis-server", package: "redis-server"),
            [
                "--bind", "127.0.0.1", "--port", "\(self.port)", "--dir", self.directory.path, "--save", "",
                "--appendonly", "no",
            ] + (self.password.map { ["--requirepass", $0] } ?? []),
            output: self.directory.path("redis.log")
        )
        try await process.waitUntilReady(self.address)
        self.running.set(process)
    }

    package func kill() { self.running.set(nil) }

    package func freeze() throws { try self.process.freeze() }
    package func thaw() throws { try self.process.thaw() }

    /// Sends commands, a line each, and reads all answers.
    package func command(_ lines: String...) throws -> String {
        let socket = try ClientSocket(self.address, timeout: .seconds(10))
        let all = (self.password.map { ["AUTH \"\($0)\""] } ?? []) + lines + ["QUIT"]
        try socket.send(all.joined(separator: "\r\n") + "\r\n")
        var answer = ""
        while true {
            let piece = try socket.receive()
            if piece.isEmpty { break }
            answer += String(decoding: piece, as: UTF8.self)
        }
        return answer
    }

    /// How often anything was changed since it was started, expiries included.
    package func changes() throws -> Int? {
        try self.command("INFO persistence").split(separator: "\r\n")
            .first { $0.hasPrefix("rdb_changes_since_last_save:") }
            .flatMap { Int($0.split(separator: ":")[1]) }
    }
}
