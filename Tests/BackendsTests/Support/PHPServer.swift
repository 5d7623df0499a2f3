import Glibc

/// A php-fpm of one test's own, on a unix socket, with its scripts in a temporary directory.
final class PHPServer: Sendable {
    static let program = (["/usr/sbin/php-fpm8.2", "/usr/sbin/php-fpm8.4", "/usr/sbin/php-fpm8.3"] as [String]).first {
        access($0, X_OK) == 0
    }
    static var isInstalled: Bool { self.program != nil }

    let directory = TemporaryDirectory()
    private let process: ServerProcess

    var socket: String { "\(self.directory.path)/php.sock" }
    var root: String { "\(self.directory.path)/www" }

    init(children: Int = 5, settings: String = "") async {
        let path = self.directory.path
        self.directory.write("www/empty.php", "")
        let user = getuid() == 0 ? "user = root\ngroup = root\n" : ""
        self.directory.write(
            "fpm.conf",
            """
            [global]
            error_log = \(path)/error.log
            daemonize = no
            [www]
            listen = \(path)/php.sock
            \(user)pm = static
            pm.max_children = \(children)
            catch_workers_output = no
            \(settings)
            """
        )
        self.process = Self.start(path)
        await Self.waitUntilReady("\(path)/php.sock")
    }

    func script(_ name: String, _ text: String) {
        self.directory.write("www/\(name)", text)
    }

    func stop() {
        self.process.stop(signal: SIGTERM)
    }

    /// Starts php-fpm once more, after `stop`, on the same socket.
    func startAgain() async -> ServerProcess {
        let process = Self.start(self.directory.path)
        await Self.waitUntilReady(self.socket)
        return process
    }

    private static func start(_ path: String) -> ServerProcess {
        ServerProcess([self.program ?? "php-fpm", "-F", "-R", "-n", "-y", "\(path)/fpm.conf"])
    }

    private static func waitUntilReady(_ socket: String) async {
        for _ in 0..<500 {
            if canConnect(toUnixSocket: socket) { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
        preconditionFailure("php-fpm does not start")
    }
}

func canConnect(toUnixSocket path: String) -> Bool {
    let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { bytes in
        bytes.copyBytes(from: path.utf8.prefix(bytes.count - 1))
    }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
        }
    }
}
