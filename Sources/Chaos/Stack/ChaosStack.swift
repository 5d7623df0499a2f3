import Foundation
import GatewayTesting

/// Whose sessions the visitors have.
package enum ChaosSubject: String, Sendable, CaseIterable {
    case gateway = "session-gateway"
    /// PHP's memcache extension.
    case memcache
    /// PHP's memcached extension.
    case memcached
}

/// The whole path: nginx, two gateways, memcacheds, php-fpm; or nginx, php-fpm with a session handler of its own, memcacheds.
package final class ChaosStack: Sendable {
    package struct Settings: Sendable {
        package var subject = ChaosSubject.gateway
        package var memcacheds = 4
        package var copies = 2
        package var operationTimeout: Duration = .milliseconds(100)

        package init() {}
    }

    package static let gatewayCount = 2
    private static let connections = 8
    /// Of each gateway.
    private static let threads = 2

    package let settings: Settings
    let network: ChaosNetwork?
    let memcacheds: [MemcachedProcess]
    let php: PHPFPMProcess
    let gateways: [GatewayProcess]
    let nginx: NginxProcess
    private let pages: TemporaryDirectory

    package init(_ settings: Settings) async throws {
        self.settings = settings
        let gatewayCount = settings.subject == .gateway ? Self.gatewayCount : 1
        let network = try await ChaosNetwork.make(memcacheds: settings.memcacheds, gateways: gatewayCount)
        self.network = network
        let pages = try TemporaryDirectory()
        try ChaosPages.write(to: pages)
        self.pages = pages
        var memcacheds: [MemcachedProcess] = []
        for index in 0..<settings.memcacheds {
            memcacheds.append(try await MemcachedProcess(at: network?.memcached(index) ?? .loopback))
        }
        self.memcacheds = memcacheds
        // PHP's own handlers speak to memcached from where a gateway would.
        let php = try await PHPFPMProcess(
            children: Self.connections * Self.gatewayCount + 2,
            pool: Self.pool(settings, memcacheds),
            at: settings.subject == .gateway ? .loopback : network?.gateway(0) ?? .loopback
        )
        self.php = php
        var gateways: [GatewayProcess] = []
        for index in 0..<gatewayCount where settings.subject == .gateway {
            gateways.append(
                try await GatewayProcess(at: network?.gateway(index) ?? .loopback) { _ in
                    Self.configuration(settings, memcacheds, php, pages)
                }
            )
        }
        self.gateways = gateways
        let upstreams = gateways.isEmpty ? ["unix:\(php.socketPath)"] : gateways.map(\.upstream)
        let script = settings.subject == .gateway ? "page.php" : "handler.php"
        self.nginx = try await NginxProcess { port in
            try Self.nginx(port: port, upstreams: upstreams, script: pages.path(script), settings.subject)
        }
        try await self.waitUntilWhole()
    }

    private static func configuration(
        _ settings: Settings,
        _ memcacheds: [MemcachedProcess],
        _ php: PHPFPMProcess,
        _ pages: TemporaryDirectory
    ) -> String {
        let operation = settings.operationTimeout.milliseconds
        return """
            threads: \(self.threads)
            sites:
              default:
                servers: [\(memcacheds.map { "\"\($0.name)\"" }.joined(separator: ", "))]
                redundancy: \(settings.copies)
                operation_timeout: \(operation)ms
                connect_timeout: \(operation * 5 / 2)ms
                load_timeout: \(operation * 5 / 2)ms
                when_degraded: refuse
                backend:
                  fastcgi: unix:\(php.socketPath)
                  root: \(pages.path)
                  connections: \(self.connections)
                  queue_timeout: 30s
            """
    }

    private static func pool(_ settings: Settings, _ memcacheds: [MemcachedProcess]) -> String {
        let plain = memcacheds.map(\.name).joined(separator: ",")
        let cookie = "php_admin_value[session.name] = session\nphp_admin_value[session.gc_probability] = 0\n"
        switch settings.subject {
        case .gateway:
            return ""
        case .memcache:
            return cookie + """
                php_admin_value[session.save_handler] = memcache
                php_admin_value[session.save_path] = "\(memcacheds.map { "tcp://\($0.name)" }.joined(separator: ", "))"
                php_admin_value[memcache.session_redundancy] = \(settings.copies)
                """
        case .memcached:
            return cookie + """
                php_admin_value[session.save_handler] = memcached
                php_admin_value[session.save_path] = "\(plain)"
                php_admin_value[memcached.sess_number_of_replicas] = \(settings.copies - 1)
                php_admin_value[memcached.sess_binary_protocol] = On
                php_admin_value[memcached.sess_consistent_hash] = On
                """
        }
    }

    private static func nginx(
        port: Int,
        upstreams: [String],
        script: String,
        _ subject: ChaosSubject
    ) throws -> String {
        let file = URL(filePath: #filePath).appending(path: "../../../../nginx/session-gateway-params.conf")
            .standardized
        let parameters =
            subject == .gateway
            ? try String(contentsOf: file, encoding: .utf8)
                .replacing("include fastcgi_params;", with: "include /etc/nginx/fastcgi_params;")
            : "include /etc/nginx/fastcgi_params;"
        return """
            keepalive_requests 100000000;
            upstream session_gateway {
                \(upstreams.map { "server \($0) max_fails=0;" }.joined(separator: "\n    "))
                \(subject == .gateway ? "keepalive 32;" : "")
            }
            server {
                listen 127.0.0.1:\(port);
                location / {
                    \(parameters)
                    fastcgi_param SCRIPT_FILENAME \(script);
                    add_header X-Outcome $upstream_http_session_outcome always;
                    fastcgi_pass session_gateway;
                }
            }
            """
    }

    // MARK: What a run asks

    /// Whether every memcached has been walked in its present life.
    var isRepaired: Bool {
        guard self.settings.subject == .gateway else { return true }
        return self.memcacheds.allSatisfy { (try? $0.command("mg sg:default!life")) == "HD\r\n" }
    }

    /// Whether each gateway has a connection to each memcached, by what the gateways have logged.
    var isConnected: Bool {
        self.gateways.allSatisfy { gateway in
            let lines = gateway.logSinceStart.split(separator: "\n").filter { $0.contains("memcached server is ") }
            return self.memcacheds.allSatisfy { memcached in
                lines.last { $0.contains("=\(memcached.name) ") }?.contains("is available") == true
            }
        }
    }

    func waitUntilWhole() async throws {
        try await Eventually.holds(within: .seconds(180), "every memcached to be whole") {
            self.isConnected && self.isRepaired
        }
    }

    /// Carries out `session-gateway repair` or `verify`.
    /// - Returns: what it has written where it has failed.
    func maintain(_ command: String) async throws -> String? {
        guard let gateway = self.gateways.first else { return nil }
        let process = try ServerProcess(
            Executable.built("session-gateway"),
            [command, "--config", gateway.directory.path("gateway.yaml"), "--site", "default"],
            output: gateway.directory.path("\(command).log")
        )
        let exit = try await process.waitForEnd(within: .seconds(60))
        return exit == .status(0) ? nil : process.output
    }

    func copyLogs(to directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for (index, gateway) in self.gateways.enumerated() {
            try gateway.log.write(toFile: "\(directory)/gateway\(index).log", atomically: false, encoding: .utf8)
        }
        try self.nginx.errorLog.write(toFile: "\(directory)/nginx.log", atomically: false, encoding: .utf8)
    }
}

extension Duration {
    var milliseconds: Int {
        Int(self.components.seconds) * 1_000 + Int(self.components.attoseconds / 1_000_000_000_000_000)
    }
}
