import Foundation
import GatewayTesting
import Testing

/// The whole path of a test: memcacheds, php-fpm, scripts, the gateway and nginx, wired together on unix sockets and free
/// ports. The document root is a copy of Tests/Shared/pages, with `cgi-bin` for scripts.
///
/// Ready once every memcached counts on its absences: an unknown cookie is answered from then on.
final class GatewayStack: Sendable {
    struct Plan: Sendable {
        var memcacheds = 3
        /// php-fpm's children.
        var children = 8
        /// The sites that have sessions of their own, by name.
        var stores = ["default"]
        /// More lines of nginx's location, before the project's own.
        var nginx = ""
        /// The gateway's configuration from `sites:` on.
        var gateway: @Sendable (Parts) -> String
    }

    /// What a configuration names.
    struct Parts: Sendable {
        let memcacheds: [MemcachedProcess]
        let php: PHPFPMProcess
        /// The document root.
        let pages: String

        /// A site's lines about its store. Patient, since the tests' machine is busy.
        var store: String { self.store(self.memcacheds.map(\.name).joined(separator: ", ")) }

        func store(_ servers: String) -> String {
            """
            servers: [\(servers)]
                connect_timeout: 2s
                operation_timeout: 2s
                load_timeout: 2s
            """
        }

        /// A site's lines about its backend.
        var fastCGI: String { self.fastCGI(connections: 4) }

        func fastCGI(connections: Int) -> String {
            """
            backend:
                  fastcgi: unix:\(self.php.socketPath)
                  connections: \(connections)
                  queue_timeout: 60s
                  root: \(self.pages)
            """
        }

        var cgi: String {
            """
            backend:
                  cgi: \(self.pages)/cgi-bin
                  queue_timeout: 60s
            """
        }
    }

    let parts: Parts
    let gateway: GatewayProcess
    let nginx: NginxProcess
    private let directory: TemporaryDirectory

    init(_ plan: Plan) async throws {
        self.directory = try TemporaryDirectory()
        let pages = self.directory.path("pages")
        let shared = URL(filePath: #filePath).appending(path: "../../../Shared/pages").standardized
        try FileManager.default.copyItem(at: shared, to: URL(filePath: pages))
        var memcacheds: [MemcachedProcess] = []
        for _ in 0..<plan.memcacheds { memcacheds.append(try await MemcachedProcess()) }
        let parts = try await Parts(
            memcacheds: memcacheds,
            php: PHPFPMProcess(children: plan.children),
            pages: pages
        )
        self.parts = parts
        let gateway = try await GatewayProcess { _ in plan.gateway(parts) }
        self.gateway = gateway
        self.nginx = try await NginxProcess { port in
            try Self.server(port: port, pages: pages, upstream: gateway.upstream, more: plan.nginx)
        }
        for store in plan.stores {
            for memcached in memcacheds {
                try await Eventually.holds(within: .seconds(30), "\(store) at \(memcached.name): \(gateway.log)") {
                    try memcached.command("mg sg:\(store)!life") != "EN\r\n"
                }
            }
        }
    }

    /// One server for all hosts. The client's `X-Site` and `X-Https` stand for what an operator would configure, and
    /// `X-Outcome` shows what nginx hides from clients.
    private static func server(port: Int, pages: String, upstream: String, more: String) throws -> String {
        let file = URL(filePath: #filePath).appending(path: "../../../../nginx/session-gateway-params.conf")
            .standardized
        let parameters = try String(contentsOf: file, encoding: .utf8)
            .replacing("include fastcgi_params;", with: "include /etc/nginx/fastcgi_params;")
        return """
            large_client_header_buffers 8 64k;
            server {
                listen 127.0.0.1:\(port);
                client_max_body_size 0;
                root \(pages);
                location / {
                    fastcgi_split_path_info ^(.+?\\.(?:php|py|sh|pl))(/.*)?$;
                    \(parameters)
                    fastcgi_param PATH_INFO $fastcgi_path_info if_not_empty;
                    fastcgi_param SESSION_SITE $http_x_site if_not_empty;
                    fastcgi_param HTTPS $http_x_https if_not_empty;
                    fastcgi_param SERVER_NAME $host;
                    \(more)
                    add_header X-Outcome $upstream_http_session_outcome always;
                    fastcgi_pass \(upstream);
                }
            }
            """
    }

    var client: HTTPClient { self.nginx.client }

    /// Puts a script into the document root.
    func write(_ name: String, _ text: String) throws {
        try self.directory.write("pages/\(name)", text, mode: 0o755)
    }

    func read(_ name: String) -> String { self.directory.read("pages/\(name)") }

    /// Whether a file is in the document root.
    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: self.directory.path("pages/\(name)")) }

    /// The lines that the gateway has logged and that hold all these words.
    func logLines(_ words: String...) -> [Substring] {
        self.gateway.log.split(separator: "\n").filter { line in words.allSatisfy { line.contains($0) } }
    }

    /// Waits for such a line.
    func awaitLogLine(_ words: String...) async throws {
        try await Eventually.holds("a log line with \(words): \(self.gateway.log.suffix(4_000))") {
            self.gateway.log.split(separator: "\n").contains { line in words.allSatisfy { line.contains($0) } }
        }
    }
}

extension GatewayStack {
    @TaskLocal private static var shared: GatewayStack?

    /// The stack of the suite that runs.
    static var current: GatewayStack {
        get throws { try #require(Self.shared, "a suite of this test has the trait .gatewayStack") }
    }

    /// Starts one stack for a whole suite, for the tests in it and in the suites below it, and ends it behind them.
    struct Trait: SuiteTrait, TestScoping {
        let plan: Plan

        func provideScope(
            for test: Test,
            testCase: Test.Case?,
            performing function: @concurrent @Sendable () async throws -> Void
        ) async throws {
            let stack = try await GatewayStack(self.plan)
            try await GatewayStack.$shared.withValue(stack) { try await function() }
        }
    }
}

extension Trait where Self == GatewayStack.Trait {
    static func gatewayStack(_ plan: GatewayStack.Plan) -> Self { Self(plan: plan) }
}
