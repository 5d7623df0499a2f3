extension GatewayConfiguration {
    /// What runs a site's scripts.
    package enum Backend: Sendable, Equatable {
        case fastCGI(FastCGI)
        case cgi(CGI)
    }

    package struct FastCGI: Sendable, Equatable {
        /// At least one, distinct.
        package var upstreams: [Address] = []
        /// Per upstream, over all event loops.
        package var connections = 4
        package var idleTimeout: Duration = .seconds(5)
        package var queueLength = 1_024
        package var queueTimeout: Duration = .seconds(10)
        package var connectTimeout: Duration = .seconds(1)
        package var responseTimeout: Duration = .seconds(60)
        package var inputOutputTimeout: Duration = .seconds(60)
        /// Without a slash at its end, unless it is `/`.
        package var root: String?

        package init() {}
    }

    package struct CGI: Sendable, Equatable {
        /// Without a slash at its end.
        package var root = ""
        package var processes = 16
        package var timeout: Duration = .seconds(60)
        package var queueLength = 1_024
        package var queueTimeout: Duration = .seconds(10)
        /// Added to every script's environment.
        package var environment: [String: String] = [:]
        /// Names of parameters that scripts get beyond those of RFC 3875.
        package var passedNames: [String] = []

        package init() {}
    }
}
