import Backends
import CGI
import Configuration
import Logging
import Sessions

/// Builds a site's backend from its configuration.
enum BackendFactory {
    static func backend(of site: GatewayConfiguration.Site, logger: Logger) throws(GatewayError) -> any Backend {
        switch site.backend {
        case .fastCGI(let fastCGI):
            var configuration = FastCGIBackendConfiguration(
                upstreams: fastCGI.upstreams.map { address in
                    switch address {
                    case .unix(let path): .unix(path: path)
                    case .tcp(let host, let port): .tcp(host: host, port: port)
                    }
                }
            )
            configuration.connections = fastCGI.connections
            configuration.idleTimeout = fastCGI.idleTimeout
            configuration.queueLength = fastCGI.queueLength
            configuration.queueTimeout = fastCGI.queueTimeout
            configuration.connectTimeout = fastCGI.connectTimeout
            configuration.responseTimeout = fastCGI.responseTimeout
            configuration.ioTimeout = fastCGI.inputOutputTimeout
            configuration.root = fastCGI.root
            configuration.headLimits = .forSessions(maximumBlob: site.maximumSize)
            return FastCGIBackend(configuration: configuration, logger: logger)
        case .cgi(let cgi):
            var configuration = CGIBackendConfiguration(root: cgi.root)
            configuration.processes = cgi.processes
            configuration.timeout = cgi.timeout
            configuration.queueLength = cgi.queueLength
            configuration.queueTimeout = cgi.queueTimeout
            configuration.environment = cgi.environment
            configuration.passedNames = Set(cgi.passedNames)
            configuration.headLimits = .forSessions(maximumBlob: site.maximumSize)
            do {
                return try CGIBackend(configuration: configuration, logger: logger)
            } catch {
                throw GatewayError("site \(site.name): cgi: \(error.message)")
            }
        }
    }
}

extension CGIResponseLimits {
    /// A head of at most 32 KiB, and beside it the base64 of the largest blob with room for names, tokens and parts.
    fileprivate static func forSessions(maximumBlob: Int) -> CGIResponseLimits {
        CGIResponseLimits(
            maximumHeadLength: 32 * 1_024,
            separateFields: ["session-data", "session-control", ModSession.fieldName],
            maximumSeparateLength: Base64.encodedLength(maximumBlob) + 64 * 1_024,
            maximumFieldCount: 1_024 + SessionAnswer.maximumParts
        )
    }
}
