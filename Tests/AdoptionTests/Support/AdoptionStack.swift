import Foundation
import GatewayTesting
import Testing

/// One application twice: as it was, on php-fpm with PHP's own handler, and as it is, with the gateway and its adapter in
/// front of another php-fpm.
struct AdoptionStack: Sendable {
    let old: OldStore
    let gateway: GatewayProcess
    let nginx: NginxProcess
    let memcached: MemcachedProcess?
    private let directory: TemporaryDirectory
    private let pools: [PHPFPMProcess]

    static let project = URL(filePath: #filePath).appending(path: "../../../..").standardized.path

    /// - Parameters:
    ///   - adopt: more of `adopt`.
    ///   - site: more lines of the site.
    ///   - settings: more lines of the old php.ini.
    ///   - isEmbedded: the gateway's own sessions are in SQLite.
    init(
        _ old: OldStore,
        adopt: String = "until: 2037-01-01",
        site: String = "idle_lifetime: 1440s",
        settings: [String] = [],
        isEmbedded: Bool = false
    ) async throws {
        self.old = old
        let directory = try TemporaryDirectory()
        self.directory = directory
        try directory.write("pages/page.php", Self.page)
        let before = try await PHPFPMProcess(children: 6, settings: old.settings + settings)
        let after = try await PHPFPMProcess(children: 6)
        self.pools = [before, after]
        let memcached = isEmbedded ? nil : try await MemcachedProcess()
        self.memcached = memcached
        let store =
            memcached.map {
                "servers: [\"\($0.name)\"]\n    redundancy: 1\n    operation_timeout: 2s\n    load_timeout: 2s"
            } ?? "database: sqlite:\(directory.path("own.sqlite"))"
        let gateway = try await GatewayProcess { _ in
            """
            log_level: debug
            sites:
              default:
                \(store)
                cookie: {name: PHPSESSID}
                adopt: {\(old.lines), \(adopt)}
                \(site)
                adapter: php
                adapter_file: \(Self.project)/Adapters/php/session-gateway.php
                backend: {fastcgi: "unix:\(after.socketPath)", connections: 5}
            """
        }
        self.gateway = gateway
        self.nginx = try await NginxProcess { port in
            """
            map $http_x_old $upstream { default \(gateway.upstream); 1 unix:\(before.socketPath); }
            server {
                listen 127.0.0.1:\(port);
                root \(directory.path("pages"));
                location / {
                    include /etc/nginx/fastcgi_params;
                    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
                    fastcgi_read_timeout 60s;
                    add_header X-Outcome $upstream_http_session_outcome always;
                    fastcgi_pass $upstream;
                }
            }
            """
        }
        if let memcached {
            try await Eventually.holds(within: .seconds(30), "the gateway's store: \(gateway.log)") {
                try memcached.command("mg sg:default!life") != "EN\r\n"
            }
        }
    }

    private static let page = """
        <?php
        session_start();
        switch ($_GET['do'] ?? '') {
            case 'login': $_SESSION = ['user' => $_GET['user'], 'pad' => str_repeat('ab', (int) ($_GET['pad'] ?? 0))]; break;
            case 'add': $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; break;
            case 'hold': file_put_contents($_GET['mark'], 'held'); usleep((int) $_GET['us']); $_SESSION['n'] = 7; break;
            case 'renew': session_regenerate_id(true); break;
            case 'logout': $_SESSION = []; session_destroy(); break;
        }
        $shown = $_SESSION ?? [];
        $shown['pad'] = md5($shown['pad'] ?? '');
        echo session_id(), ' ', $shown['user'] ?? 'nobody', ' ', $shown['n'] ?? 0, ' ', $shown['pad'];
        """

    /// The path of a file in the stack's directory.
    func path(_ name: String) -> String { self.directory.path(name) }

    /// One visitor.
    struct Visitor: Sendable {
        var jar = CookieJar()
        let stack: AdoptionStack

        /// What the page shows: id, user, number, the hash of the padding.
        struct Page: Sendable, Equatable {
            var status: Int
            var outcome: String
            var id = ""
            var user = ""
            var number = ""
            var padding = ""
            var retryAfter: String?
        }

        private mutating func get(_ query: String, old: Bool) async throws -> Page {
            let headers = old ? [(name: "X-Old", value: "1")] : []
            let response = try await self.stack.nginx.client.send(
                HTTPRequest("GET", "/page.php?\(query)", headers: headers),
                cookies: &self.jar
            )
            let words = response.status == 200 ? response.text.split(separator: " ").map(String.init) : []
            var page = Page(status: response.status, outcome: response.header("X-Outcome") ?? "")
            page.retryAfter = response.header("Retry-After")
            if words.count == 4 {
                (page.id, page.user, page.number, page.padding) = (words[0], words[1], words[2], words[3])
            }
            return page
        }

        /// By php-fpm alone.
        mutating func before(_ query: String) async throws -> Page { try await self.get(query, old: true) }
        /// Through the gateway.
        mutating func now(_ query: String = "") async throws -> Page { try await self.get(query, old: false) }
    }

    var visitor: Visitor { Visitor(stack: self) }

    /// Visitors who have signed in before the gateway was there.
    func visitors(_ count: Int, padding: Int = 0) async throws -> [Visitor] {
        var visitors: [Visitor] = []
        for number in 0..<count {
            var visitor = self.visitor
            let page = try await visitor.before("do=login&user=u\(number)&pad=\(padding)")
            guard page.user == "u\(number)" else { throw TestingError("no session in the old store: \(page)") }
            visitors.append(visitor)
        }
        return visitors
    }
}
