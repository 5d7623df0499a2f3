package import CGI

/// How a `FastCGIBackend` behaves.
package struct FastCGIBackendConfiguration: Sendable {
    /// At least one; requests take turns between them.
    package var upstreams: [FastCGIUpstream]
    /// Connections per upstream, over all event loops. A kept-alive connection occupies a php-fpm child for as long as
    /// it is open, so this must stay below `pm.max_children`.
    package var connections = 4
    /// An unused connection is closed after this time.
    package var idleTimeout: Duration = .seconds(5)
    /// How many requests wait for a connection at most; more are refused (`queueFull`).
    package var queueLength = 1_024
    /// How long a request waits for a connection at most (`queueTimedOut`).
    package var queueTimeout: Duration = .seconds(10)
    package var connectTimeout: Duration = .seconds(1)
    /// From the end of the request until the head of the answer.
    package var responseTimeout: Duration = .seconds(60)
    /// Between two pieces of the answer, or while the application takes nothing of the request's body. Time in which
    /// the client is waited for does not count.
    package var ioTimeout: Duration = .seconds(60)
    /// How soon after sending a kept-alive connection must be lost, with nothing answered, for the request to be sent
    /// once more: the application had closed it before, as php-fpm does after `pm.max_requests` and when it is
    /// reloaded. Later the request was being executed, and is not repeated. Methods that may be repeated by their
    /// nature (RFC 9110 §9.2.2) have ten times as long.
    package var repeatWindow: Duration = .milliseconds(100)
    /// Where set, SCRIPT_FILENAME must be below this directory.
    package var root: String?
    package var headLimits = CGIResponseLimits()

    package init(upstreams: [FastCGIUpstream]) {
        self.upstreams = upstreams
    }
}
