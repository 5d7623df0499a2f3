import Backends
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
    /// Nil for a site without sessions.
    let store: StoreConfiguration?
    let counters = StoreCounters()
    let cookies: SiteCookies
    private let ignored: PathPattern?
    private let isPlainCookieHinted = Atomic<Bool>(false)
    let logger: Logger

    var name: String { self.configuration.name }

    /// - Throws: what the configuration's check would have found: only a configuration that was not checked.
    init(_ configuration: GatewayConfiguration.Site, backend: any Backend, logger: Logger) throws(GatewayError) {
        self.configuration = configuration
        self.backend = backend
        var logger = logger
        logger[.site] = configuration.name
        self.logger = logger
        self.store = try StoreConfiguration.make(configuration)
        let settings = try CookieSettings(configuration.cookie)
        do {
            self.cookies = try SiteCookies(settings)
        } catch {
            throw GatewayError("site \(configuration.name): cookie: \(error)")
        }
        if let ignore = configuration.ignore {
            guard let pattern = PathPattern(ignore) else {
                throw GatewayError("site \(configuration.name): 'ignore' is not a POSIX extended regular expression")
            }
            self.ignored = pattern
        } else {
            self.ignored = nil
        }
    }

    func ignores(_ path: String) -> Bool {
        self.ignored?.matches(path) ?? false
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
