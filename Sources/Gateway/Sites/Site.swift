import Backends
import CGI
import Configuration
import Logging
import Memcached
import NIOCore
import Sessions
import Store
import Synchronization

/// One application as configured, with its backend; shared by all event loops.
final class Site: Sendable {
    let configuration: GatewayConfiguration.Site
    let backend: any Backend
    /// Nil where the sessions are in the database alone.
    let store: StoreConfiguration?
    /// Nil where they are in memcached alone.
    let tier: SiteTier?
    let counters: StoreCounters
    let cookies: SiteCookies
    let ids: SessionIDMint
    /// Nil where no sessions are taken over from another store.
    let adoption: SiteAdoption?
    /// Nil where requests of one session do not wait for each other.
    let turns: SessionTurns?
    /// What php-fpm is told with every request, for a site with PHP's adapter.
    let phpSetting: String?
    private let ignored: PathPattern?
    private let readOnly: PathPattern?
    private let isPlainCookieHinted = Atomic<Bool>(false)
    private let limitedRequests = Mutex(SeldomCount())
    let logger: Logger

    var name: String { self.configuration.name }

    /// - Throws: what the configuration's check would have found: only a configuration that was not checked.
    ///
    /// - Parameters:
    ///   - turns: of the sites that have the same sessions; nil where requests do not wait for each other.
    ///   - counters: what the site counts in; they outlive a reload.
    init(
        _ configuration: GatewayConfiguration.Site,
        backend: any Backend,
        tier: SiteTier?,
        turns: SessionTurns?,
        adoption: SiteAdoption?,
        counters: StoreCounters,
        logger: Logger
    ) throws(GatewayError) {
        self.configuration = configuration
        self.backend = backend
        self.phpSetting =
            configuration.adapter == .php ? PHPAdapter.setting(file: configuration.adapterFile) : nil
        self.tier = tier
        self.counters = counters
        var logger = logger
        logger[.site] = configuration.name
        self.logger = logger
        self.store = try StoreConfiguration.make(configuration)
        self.ids = SessionIDMint(secrets: configuration.idSecrets.map(\.text))
        var settings = try CookieSettings(configuration.cookie)
        settings.acceptsPHPIDs = configuration.adoption != nil
        do {
            self.cookies = try SiteCookies(settings)
        } catch {
            throw GatewayError("site \(configuration.name): cookie: \(error)")
        }
        self.ignored = try PathPattern.optional(configuration.ignore, "ignore", site: configuration.name)
        self.readOnly = try PathPattern.optional(configuration.readOnly, "readonly", site: configuration.name)
        self.turns = turns
        self.adoption = adoption
    }

    /// Paths are made only where there is something to match them against.
    func ignores(_ parameters: Parameters) -> Bool {
        self.ignored.map { parameters.hasPath(matching: $0) } ?? false
    }

    func isReadOnly(_ parameters: Parameters) -> Bool {
        self.readOnly.map { parameters.hasPath(matching: $0) } ?? false
    }

    /// Says at most once a minute that clients ask for ids that nobody knows.
    func refusedUnknownID() {
        guard let count = self.limitedRequests.withLock({ $0.happened(at: .now) }) else { return }
        self.logger.warning(
            "clients that ask for too many unknown sessions got 503 (unknown_ids)",
            metadata: ["requests": "\(count)"]
        )
    }

    /// Says once what the default name means where there is no TLS.
    func hintAtPlainCookie() {
        guard case .automatic = self.configuration.cookie.name, !self.isPlainCookieHinted.load(ordering: .relaxed)
        else { return }
        if !self.isPlainCookieHinted.exchange(true, ordering: .relaxed) {
            self.logger.notice(
                """
                a session over plain http: its cookie is 'session', and '__Host-session' under HTTPS; where TLS ends \
                before nginx, set the cookie's 'secure: always'
                """
            )
        }
    }
}

/// Why the gateway cannot start, or take a new configuration.
package struct GatewayError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension PathPattern {
    fileprivate static func optional(
        _ pattern: String?,
        _ key: String,
        site: String
    ) throws(GatewayError) -> PathPattern? {
        guard let pattern else { return nil }
        guard let compiled = PathPattern(pattern) else {
            throw GatewayError("site \(site): '\(key)' is not a POSIX extended regular expression")
        }
        return compiled
    }
}
