import Configuration
import NIOCore
import Responder
import ServiceLifecycle

/// The web server's side for as long as the program runs.
struct ResponderService: Service {
    let responder: Responder
    /// How long requests in flight may go on after a shutdown has begun.
    let timeout: Duration

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await self.responder.run()
        } onGracefulShutdown: {
            self.responder.shutDown(timeout: self.timeout)
        }
    }
}

extension ResponderConfiguration {
    init(_ configuration: GatewayConfiguration) {
        self.init(
            listeners: configuration.listeners.map { listener in
                let address: Listener.Address =
                    switch listener.address {
                    case .unix(let path): .unix(path: path)
                    case .tcp(let host, let port): .tcp(host: host, port: port)
                    }
                return Listener(
                    address,
                    mode: listener.mode,
                    group: listener.group,
                    allowedClients: listener.allowedClients.map(\.description)
                )
            }
        )
        self.headerTimeout = configuration.headerTimeout
        self.clientTimeout = configuration.clientTimeout
        self.writeTimeout = configuration.clientTimeout
        self.minimumRate = configuration.minimumRate
        self.maximumConnections = configuration.maximumConnections
    }
}
