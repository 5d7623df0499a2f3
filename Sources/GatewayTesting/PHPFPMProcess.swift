import Foundation

/// A php-fpm on a unix socket, as the user that runs the tests: the one on PATH, or `SESSION_GATEWAY_PHP_FPM`.
package final class PHPFPMProcess: Sendable {
    package let socketPath: String
    private let directory: TemporaryDirectory
    private let place: ProcessPlace
    private let settings: [String]
    private let running = RunningProcess()

    /// - Parameters:
    ///   - children: `pm.max_children`, all started at once.
    ///   - pool: more lines of the pool's section, for example `php_admin_value[memory_limit] = 1G`.
    ///   - global: more lines of the global section.
    ///   - settings: lines as of php.ini.
    ///   - place: the network its scripts see; it listens on a unix socket wherever it is.
    package init(
        children: Int = 8,
        pool: String = "",
        global: String = "",
        settings: [String] = [],
        at place: ProcessPlace = .loopback
    ) async throws {
        self.settings = settings
        self.directory = try TemporaryDirectory()
        self.place = place
        self.socketPath = self.directory.path("php-fpm.sock")
        try self.directory.write(
            "php-fpm.conf",
            """
            [global]
            daemonize = no
            error_log = \(self.directory.path("php-fpm.log"))
            \(global)
            [www]
            user = root
            group = root
            listen = \(self.socketPath)
            listen.mode = 0666
            pm = static
            pm.max_children = \(children)
            catch_workers_output = no
            clear_env = yes
            \(pool)

            """
        )
        try await self.start()
    }

    package var address: SocketAddress { .unix(self.socketPath) }
    package var process: ServerProcess { get throws { try self.running.process() } }
    package var log: String { self.directory.read("php-fpm.log") }

    package func start() async throws {
        let process = try ServerProcess(
            at: self.place,
            ProcessInfo.processInfo.environment["SESSION_GATEWAY_PHP_FPM"]
                ?? Executable.find("php-fpm8.2", "php-fpm8.4", "php-fpm8.3", "php-fpm", package: "php8.2-fpm"),
            ["--nodaemonize", "--allow-to-run-as-root", "--fpm-config", self.directory.path("php-fpm.conf")]
                + self.settings.flatMap { ["-d", $0] },
            output: self.directory.path("output"),
            deathSignal: "TERM"
        )
        try await process.waitUntilReady(self.address)
        self.running.set(process)
    }

    package func kill() { self.running.set(nil) }

    /// The children that run scripts.
    package var workers: [Int32] {
        guard let pid = try? self.process.pid,
            let text = try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)
        else { return [] }
        return text.split(separator: " ").compactMap { Int32($0) }
    }

    package func restart() async throws {
        self.kill()
        try await self.start()
    }
}
