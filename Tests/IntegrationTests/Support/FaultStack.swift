import Foundation
import GatewayTesting

/// The whole path on loopback: memcacheds, php-fpm, gateways, nginx in front of them, and the pages they serve.
///
/// Gateway n is the virtual host `gatewayN`. PHP pages belong to the site `default`, what is below `/cgi-bin/` to the site
/// `scripts`, which shares its sessions. `Session-Outcome` reaches the client as `X-Outcome`.
final class FaultStack: Sendable {
    struct Settings: Sendable {
        var memcacheds = 3
        /// Of each memcached, where it is not the launcher's default.
        var memcachedArguments: [Int: [String]] = [:]
        var gateways = 1
        /// More variables of a gateway's environment.
        var gatewayEnvironments: [Int: [String: String]] = [:]
        /// For each gateway: a kept-alive connection occupies a child, whoever it belongs to.
        var phpChildren = 8
        /// Faults on the way from all gateways to a memcached.
        var cables: [Int: FaultyCable.Settings] = [:]
        /// Lines of the configuration file, each at its place.
        var top = ""
        var site: [String] = [
            "connect_timeout: 1s", "operation_timeout: 500ms", "load_timeout: 2s",
        ]
        var fastCGI: [String] = ["connections: 7", "queue_timeout: 30s"]
        var cgi: [String] = ["queue_timeout: 30s"]
        /// Lines of nginx's server block.
        var server = "fastcgi_request_buffering off;"

        init(_ adjust: (inout Settings) -> Void = { _ in }) { adjust(&self) }
    }

    let pages: TemporaryDirectory
    let memcacheds: [MemcachedProcess]
    let cables: [Int: FaultyCable]
    let php: PHPFPMProcess
    let gateways: [GatewayProcess]
    let nginx: NginxProcess

    init(_ settings: Settings = Settings()) async throws {
        let pages = try TemporaryDirectory()
        try FaultPages.write(to: pages)
        self.pages = pages
        var memcacheds: [MemcachedProcess] = []
        var cables: [Int: FaultyCable] = [:]
        for index in 0..<settings.memcacheds {
            let memcached =
                if let arguments = settings.memcachedArguments[index] {
                    try await MemcachedProcess(arguments)
                } else {
                    try await MemcachedProcess()
                }
            memcacheds.append(memcached)
            if let cable = settings.cables[index] {
                cables[index] = try await FaultyCable(to: memcached.port, cable)
            }
        }
        self.memcacheds = memcacheds
        self.cables = cables
        let php = try await PHPFPMProcess(
            children: settings.phpChildren * settings.gateways,
            pool: """
                php_admin_flag[enable_post_data_reading] = off
                php_admin_value[post_max_size] = 0
                php_admin_value[output_buffering] = 0
                """
        )
        self.php = php
        let servers = memcacheds.indices.map { "127.0.0.1:\(cables[$0]?.port ?? memcacheds[$0].port)" }
        let configuration = Self.configuration(settings, servers: servers, pages: pages, php: php)
        var gateways: [GatewayProcess] = []
        for index in 0..<settings.gateways {
            let environment = settings.gatewayEnvironments[index] ?? [:]
            gateways.append(try await GatewayProcess(environment: environment) { _ in configuration })
        }
        self.gateways = gateways
        let upstreams = gateways.map(\.upstream)
        self.nginx = try await NginxProcess { port in
            Self.nginx(port: port, upstreams: upstreams, pages: pages, server: settings.server)
        }
    }

    /// The default stack, with its memcacheds marked complete.
    static func ready(_ adjust: (inout Settings) -> Void = { _ in }) async throws -> FaultStack {
        let stack = try await FaultStack(Settings(adjust))
        try await stack.waitUntilComplete()
        return stack
    }

    static func configuration(
        _ settings: Settings,
        servers: [String],
        pages: TemporaryDirectory,
        php: PHPFPMProcess
    ) -> String {
        var lines = settings.top.isEmpty ? [] : [settings.top]
        lines += ["sites:", "  default:"]
        if !servers.isEmpty { lines.append("    servers: [\(servers.map { "\"\($0)\"" }.joined(separator: ", "))]") }
        lines += settings.site.map { "    \($0)" }
        lines += ["    backend:", "      fastcgi: unix:\(php.socketPath)", "      root: \(pages.path)"]
        lines += settings.fastCGI.map { "      \($0)" }
        lines += ["  scripts:"]
        if !servers.isEmpty { lines.append("    sessions_of: default") }
        lines += ["    backend:", "      cgi: \(pages.path("cgi-bin"))"]
        lines += settings.cgi.map { "      \($0)" }
        return lines.joined(separator: "\n")
    }

    private static func nginx(port: Int, upstreams: [String], pages: TemporaryDirectory, server: String) -> String {
        let parameters = """
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_keep_conn on;
            fastcgi_buffer_size 40k;
            fastcgi_buffers 8 40k;
            fastcgi_busy_buffers_size 80k;
            fastcgi_max_temp_file_size 0;
            fastcgi_read_timeout 120s;
            fastcgi_hide_header Session-Outcome;
            add_header X-Outcome $upstream_http_session_outcome always;
            """
        return upstreams.enumerated().map { index, upstream in
            """
            upstream gateway\(index) { server \(upstream); keepalive 32; }
            server {
                listen 127.0.0.1:\(port)\(index == 0 ? " default_server backlog=2048" : "");
                server_name gateway\(index);
                root \(pages.path);
                client_max_body_size 0;
                \(server)
                location / {
                    \(parameters)
                    fastcgi_pass gateway\(index);
                }
                location /cgi-bin/ {
                    \(parameters)
                    fastcgi_param SESSION_SITE scripts;
                    fastcgi_pass gateway\(index);
                }
            }
            """
        }.joined(separator: "\n")
    }

    // MARK: What tests ask

    var gateway: GatewayProcess { self.gateways[0] }

    /// A client of nginx whose requests go to that gateway.
    func client(_ gateway: Int = 0) -> HTTPClient { HTTPClient(self.nginx.address, host: "gateway\(gateway)") }

    /// Whether a memcached's present life is marked complete: it has been walked, or there was nothing to walk for.
    func isComplete(_ index: Int) throws -> Bool {
        try self.memcacheds[index].command("mg sg:default!life").hasPrefix("HD")
    }

    /// Waits until the memcacheds are complete, and all gateways know: each looks every 250 ms.
    func waitUntilComplete(_ indexes: [Int]? = nil) async throws {
        for index in indexes ?? Array(self.memcacheds.indices) {
            try await Eventually.holds(within: .seconds(60), "memcached \(index) to be complete") {
                try self.isComplete(index)
            }
        }
        try await Task.sleep(for: .milliseconds(300))
    }

    /// Opens the gate that a page waits at, once it is there.
    func waitAtGate(_ name: String) async throws {
        try await Eventually.holds(within: .seconds(30), "a page at the gate \(name)") {
            access(self.pages.path("\(name).in"), F_OK) == 0
        }
    }

    func openGate(_ name: String) throws {
        try self.pages.write("\(name).go", "")
    }

    func waitForFile(_ name: String, within limit: Duration = .seconds(30)) async throws -> String {
        try await Eventually.value(within: limit, "the file \(name)") {
            let text = self.pages.read(name)
            return text.isEmpty ? nil : text
        }
    }
}

extension TemporaryDirectory {
    func has(_ name: String) -> Bool { access(self.path(name), F_OK) == 0 }
}
