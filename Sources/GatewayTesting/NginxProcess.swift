/// An nginx in the foreground, with everything it writes in a directory of its own.
package final class NginxProcess: Sendable {
    package let port: Int
    package let directory: TemporaryDirectory
    private let running = RunningProcess()

    /// - Parameters:
    ///   - http: the inside of the `http` block; gets the port to listen at.
    ///   - main: more lines outside of all blocks.
    package init(main: String = "", http: (_ port: Int) throws -> String) async throws {
        self.port = try LoopbackPort.unused()
        self.directory = try TemporaryDirectory()
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { name in
            "\(name)_temp_path \(self.directory.path("\(name)_temp"));"
        }
        try self.directory.write(
            "nginx.conf",
            """
            user root root;
            daemon off;
            worker_processes 1;
            pid \(self.directory.path("nginx.pid"));
            error_log \(self.directory.path("error.log")) notice;
            \(main)
            events { worker_connections 4096; }
            http {
                access_log off;
                \(temporary.joined(separator: "\n    "))
                \(http(self.port))
            }

            """
        )
        try await self.start()
    }

    package var address: SocketAddress { .port(self.port) }
    package var client: HTTPClient { HTTPClient(self.address) }
    package var process: ServerProcess { get throws { try self.running.process() } }
    package var errorLog: String { self.directory.read("error.log") }

    package func start() async throws {
        let process = try ServerProcess(
            Executable.find("nginx", package: "nginx-light"),
            [
                "-p", self.directory.path, "-c", self.directory.path("nginx.conf"), "-e",
                self.directory.path("error.log"),
            ],
            output: self.directory.path("output"),
            deathSignal: "TERM"
        )
        try await process.waitUntilReady(self.address)
        self.running.set(process)
    }

    package func kill() { self.running.set(nil) }
}
