import Foundation
import GatewayTesting
import Testing

/// nginx, the gateway, one memcached and the backends of a test, with the project's adapters. The document root is a copy of
/// `pages` beside this folder.
final class AdapterStack: Sendable {
    struct Plan: Sendable {
        /// The names of the php-fpm pools and how each is started.
        var pools: [String: Pool] = [:]
        /// The sites that have sessions of their own, by name.
        var stores: [String]
        /// More lines of nginx's location.
        var nginx: @Sendable (Parts) -> String = { _ in "" }
        /// More of nginx's server.
        var server: @Sendable (Parts) -> String = { _ in "" }
        /// The gateway's sites.
        var sites: @Sendable (Parts) -> String
    }

    struct Pool: Sendable {
        /// One by default: whatever stays in a worker is there for the next request.
        var children = 1
        var lines = ""
        /// Lines as of php.ini; `{pages}` and `{adapters}` are filled in.
        var settings: [String] = []
    }

    /// What a configuration names.
    struct Parts: Sendable {
        let memcached: MemcachedProcess
        let pools: [String: PHPFPMProcess]
        /// The document root.
        let pages: String
        let adapters: String

        /// A site's lines about its store. Patient, since the tests' machine is busy.
        var store: String {
            """
            servers: ["\(self.memcached.name)"]
                redundancy: 1
                connect_timeout: 2s
                operation_timeout: 2s
                load_timeout: 2s
            """
        }

        var adapter: String {
            """
            adapter: php
                adapter_file: \(self.adapters)/php/session-gateway.php
            """
        }

        func php(_ pool: String, connections: Int = 1) -> String {
            """
            backend:
                  fastcgi: unix:\(self.pools[pool]?.socketPath ?? "")
                  connections: \(connections)
                  idle_timeout: 100ms
                  queue_timeout: 60s
            """
        }
    }

    static let project = URL(filePath: #filePath).appending(path: "../../../..").standardized.path

    let parts: Parts
    let gateway: GatewayProcess
    let nginx: NginxProcess
    private let directory: TemporaryDirectory

    init(_ plan: Plan) async throws {
        self.directory = try TemporaryDirectory()
        let pages = self.directory.path("pages")
        try FileManager.default.copyItem(atPath: "\(Self.project)/Tests/AdapterTests/pages", toPath: pages)
        let adapters = "\(Self.project)/Adapters"
        var pools: [String: PHPFPMProcess] = [:]
        for (name, pool) in plan.pools {
            pools[name] = try await PHPFPMProcess(
                children: pool.children,
                pool: pool.lines,
                settings: pool.settings.map {
                    $0.replacing("{pages}", with: pages).replacing("{adapters}", with: adapters)
                }
            )
        }
        let memcached = try await MemcachedProcess()
        let parts = Parts(memcached: memcached, pools: pools, pages: pages, adapters: adapters)
        self.parts = parts
        let gateway = try await GatewayProcess { _ in "log_level: debug\nsites:\n" + plan.sites(parts) }
        self.gateway = gateway
        self.nginx = try await NginxProcess { port in
            try Self.server(port, parts, upstream: gateway.upstream, plan)
        }
        for store in plan.stores {
            try await Eventually.holds(within: .seconds(30), "\(store): \(gateway.log)") {
                try memcached.command("mg sg:\(store)!life") != "EN\r\n"
            }
        }
    }

    /// The client's `X-Site` names the site, and `X-Outcome` shows what nginx hides from clients.
    private static func server(_ port: Int, _ parts: Parts, upstream: String, _ plan: Plan) throws -> String {
        let parameters = try String(
            contentsOfFile: "\(Self.project)/nginx/session-gateway-params.conf",
            encoding: .utf8
        )
        .replacing("include fastcgi_params;", with: "include /etc/nginx/fastcgi_params;")
        return """
            server {
                listen 127.0.0.1:\(port);
                root \(parts.pages);
                \(plan.server(parts))
                location / {
                    fastcgi_split_path_info ^(.+?\\.(?:php|py|sh|pl|rb|cgi))(/.*)?$;
                    \(parameters)
                    fastcgi_param PATH_INFO $fastcgi_path_info if_not_empty;
                    fastcgi_param SESSION_SITE $http_x_site if_not_empty;
                    \(plan.nginx(parts))
                    add_header X-Outcome $upstream_http_session_outcome always;
                    fastcgi_pass \(upstream);
                }
            }
            """
    }

    var client: HTTPClient { self.nginx.client }

    /// Puts a file into the document root.
    func write(_ name: String, _ text: String) throws {
        try self.directory.write("pages/\(name)", text, mode: 0o755)
    }

    func read(_ name: String) -> String { self.directory.read("pages/\(name)") }

    /// The lines that the gateway has logged and that hold all these words.
    func logLines(_ words: String...) -> [Substring] {
        self.gateway.log.split(separator: "\n").filter { line in words.allSatisfy { line.contains($0) } }
    }

    func awaitLogLine(_ words: String...) async throws {
        try await Eventually.holds("a log line with \(words): \(self.gateway.log.suffix(4_000))") {
            self.gateway.log.split(separator: "\n").contains { line in words.allSatisfy { line.contains($0) } }
        }
    }
}

extension AdapterStack {
    @TaskLocal private static var shared: AdapterStack?

    /// The stack of the suite that runs.
    static var current: AdapterStack {
        get throws { try #require(Self.shared, "a suite of this test has the trait .adapterStack") }
    }

    /// Starts one stack for a whole suite and ends it behind it.
    struct Trait: SuiteTrait, TestScoping {
        let plan: Plan

        func provideScope(
            for test: Test,
            testCase: Test.Case?,
            performing function: @concurrent @Sendable () async throws -> Void
        ) async throws {
            let stack = try await AdapterStack(self.plan)
            try await AdapterStack.$shared.withValue(stack) { try await function() }
        }
    }
}

extension Trait where Self == AdapterStack.Trait {
    static func adapterStack(_ plan: AdapterStack.Plan) -> Self { Self(plan: plan) }
}
