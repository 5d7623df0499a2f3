import Foundation
import Glibc

/// A database server on a unix socket in a directory of its own, which keeps its data over restarts.
package protocol DatabaseServerProcess: Sendable {
    /// Makes an empty database.
    /// - Returns: its URL, as the gateway's configuration takes it.
    func createDatabase(_ name: String) async throws -> String
    /// Runs statements in a database, by the server's own client.
    /// - Returns: what it prints.
    @discardableResult
    func execute(_ sql: String, in database: String) async throws -> String
    func start() async throws
    /// Ends it without letting it finish anything.
    func kill() async throws
    /// Stops it and its children: connections stay, nothing is answered.
    func freeze() throws
    func thaw() throws
}

extension DatabaseServerProcess {
    package func restart() async throws {
        try await self.kill()
        try await self.start()
    }
}

/// A PostgreSQL; as the user `postgres` where the tests run as root, since it refuses to run as that.
package final class PostgreSQLProcess: DatabaseServerProcess {
    private static let user = getuid() == 0 ? "postgres" : NSUserName()
    private let directory: TemporaryDirectory
    private let running = RunningProcess()
    private let settings: [String]

    /// - Parameter settings: `name=value`.
    package init(settings: [String] = []) async throws {
        self.settings = settings
        self.directory = try TemporaryDirectory()
        let data = self.directory.path("data")
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        chmod(data, 0o700)
        try SystemUser.give(data, to: Self.user)
        // Its socket lies there too.
        let sockets = self.directory.path("socket")
        try FileManager.default.createDirectory(atPath: sockets, withIntermediateDirectories: true)
        try SystemUser.give(sockets, to: Self.user)
        let arguments = [
            "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C",
        ]
        try await self.run("initdb", arguments, within: .seconds(120))
        try await self.start()
    }

    /// The directory of its socket.
    package var socketDirectory: String { self.directory.path("socket") }
    package var process: ServerProcess { get throws { try self.running.process() } }
    package var log: String { self.directory.read("postgres.log") }

    package func start() async throws {
        let settings = (["listen_addresses=", "fsync=off", "max_connections=60"] + self.settings)
            .flatMap { ["-c", $0] }
        // A killed one's children may need a moment to see that it is gone.
        try await Eventually.holds(within: .seconds(60), "PostgreSQL to start: \(self.log.suffix(2_000))") {
            let process = try ServerProcess(
                SystemUser.setpriv,
                SystemUser.arguments(Self.user)
                    + [Self.program("postgres"), "-D", self.directory.path("data"), "-k", self.socketDirectory]
                    + settings,
                output: self.directory.path("postgres.log"),
                deathSignal: "QUIT"
            )
            self.running.set(process)
            let socket = SocketAddress.unix(self.socketDirectory + "/.s.PGSQL.5432")
            while process.ended == nil {
                if socket.acceptsConnections, try await self.answers { return true }
                try await Task.sleep(for: .milliseconds(50))
            }
            return false
        }
    }

    private var answers: Bool {
        get async throws {
            try await self.psql("SELECT 1", "postgres").status == .status(0)
        }
    }

    package func kill() async throws {
        // SIGQUIT: immediate shutdown, without a checkpoint.
        try await self.process.terminate(SIGQUIT)
        self.running.set(nil)
    }

    package func freeze() throws { try self.process.sendToFamily(SIGSTOP) }
    package func thaw() throws { try self.process.sendToFamily(SIGCONT) }

    package func createDatabase(_ name: String) async throws -> String {
        try await self.execute("CREATE DATABASE \(name)", in: "postgres")
        return "postgresql://postgres@/\(name)?host=\(self.socketDirectory)"
    }

    @discardableResult
    package func execute(_ sql: String, in database: String) async throws -> String {
        let (status, output) = try await self.psql(sql, database)
        guard status == .status(0) else { throw TestingError("psql: \(status) \(output)") }
        return output
    }

    private func psql(_ sql: String, _ database: String) async throws -> (status: ServerProcess.Exit, String) {
        let output = self.directory.path("psql.\(UInt64.random(in: 0 ... .max))")
        let process = try ServerProcess(
            Self.program("psql"),
            [
                "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", self.socketDirectory, "-U", "postgres", "-d",
                database, "-c", sql,
            ],
            output: output
        )
        return (try await process.waitForEnd(within: .seconds(60)), process.output)
    }

    private func run(_ program: String, _ arguments: [String], within limit: Duration) async throws {
        let process = try ServerProcess(
            SystemUser.setpriv,
            SystemUser.arguments(Self.user) + [Self.program(program)] + arguments,
            output: self.directory.path("\(program).log")
        )
        let exit = try await process.waitForEnd(within: limit)
        guard exit == .status(0) else { throw TestingError("\(program): \(exit) \(process.output.suffix(2_000))") }
    }

    /// Debian keeps them out of PATH, by version.
    private static func program(_ name: String) throws -> String {
        for version in stride(from: 20, through: 12, by: -1) {
            let path = "/usr/lib/postgresql/\(version)/bin/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        return try Executable.find(name, package: "postgresql-15")
    }
}

/// A MariaDB, as the user that runs the tests.
package final class MariaDBProcess: DatabaseServerProcess {
    private let directory: TemporaryDirectory
    private let running = RunningProcess()

    package init() async throws {
        self.directory = try TemporaryDirectory()
        let install = try ServerProcess(
            Executable.find("mariadb-install-db", package: "mariadb-server"),
            [
                "--no-defaults", "--datadir=\(self.directory.path("data"))", "--user=\(NSUserName())",
                "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M",
                "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0",
            ],
            output: self.directory.path("install.log")
        )
        let exit = try await install.waitForEnd(within: .seconds(120))
        guard exit == .status(0) else {
            throw TestingError("mariadb-install-db: \(exit) \(install.output.suffix(2_000))")
        }
        try await self.start()
    }

    package var socketPath: String { self.directory.path("mariadb.sock") }
    package var process: ServerProcess { get throws { try self.running.process() } }

    package func start() async throws {
        let process = try ServerProcess(
            Executable.find("mariadbd", package: "mariadb-server"),
            [
                "--no-defaults", "--datadir=\(self.directory.path("data"))", "--socket=\(self.socketPath)",
                "--user=\(NSUserName())", "--skip-networking", "--pid-file=\(self.directory.path("pid"))",
                "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2",
                "--performance-schema=OFF", "--skip-log-bin",
            ],
            output: self.directory.path("mariadb.log")
        )
        try await process.waitUntilReady(.unix(self.socketPath), within: .seconds(120))
        self.running.set(process)
    }

    package func kill() async throws { self.running.set(nil) }
    package func freeze() throws { try self.process.freeze() }
    package func thaw() throws { try self.process.thaw() }

    package func createDatabase(_ name: String) async throws -> String {
        try await self.execute("CREATE DATABASE \(name)", in: "mysql")
        return "mariadb://root@/\(name)?socket=\(self.socketPath)"
    }

    @discardableResult
    package func execute(_ sql: String, in database: String) async throws -> String {
        let process = try ServerProcess(
            Executable.find("mariadb", "mysql", package: "mariadb-client"),
            ["--no-defaults", "--socket=\(self.socketPath)", "--user=root", "-N", "-B", "-e", sql, database],
            output: self.directory.path("client.\(UInt64.random(in: 0 ... .max))")
        )
        let exit = try await process.waitForEnd(within: .seconds(60))
        guard exit == .status(0) else { throw TestingError("mariadb: \(exit) \(process.output)") }
        return process.output
    }
}

/// Running programs as somebody else.
private enum SystemUser {
    static var setpriv: String { get throws { try Executable.find("setpriv", package: "util-linux") } }

    /// Of `setpriv`: the user where the tests may change it. The change takes the signal at the parent's death away, so it
    /// is asked for anew.
    static func arguments(_ user: String) -> [String] {
        getuid() == 0
            ? ["--reuid", user, "--regid", user, "--init-groups", "--pdeathsig", "QUIT", "--"] : ["--"]
    }

    static func give(_ path: String, to user: String) throws {
        guard getuid() == 0 else { return }
        guard let entry = getpwnam(user) else { throw TestingError("there is no user \(user)") }
        chown(path, entry.pointee.pw_uid, entry.pointee.pw_gid)
    }
}

extension ServerProcess {
    /// To the process and its children, which may be in sessions of their own.
    func sendToFamily(_ signal: Int32) {
        let path = "/proc/\(self.pid)/task/\(self.pid)/children"
        let children = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        self.send(signal)
        for child in children.split(separator: " ").compactMap({ Int32($0) }) { _ = Glibc.kill(child, signal) }
    }
}
