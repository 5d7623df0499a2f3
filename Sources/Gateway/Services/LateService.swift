import Configuration
import Glibc
import Logging
import NIOCore
import ServiceLifecycle

/// The socket for late answers for as long as the program runs.
struct LateService: Service {
    private let listener: LateListener

    static func bind(
        _ configuration: GatewayConfiguration,
        loops: any EventLoopGroup,
        workers: [Worker],
        logger: Logger
    ) async throws -> LateService {
        let listener = try await LateListener.bind(
            path: configuration.lateSocketPath,
            group: configuration.lateGroup,
            eventLoopGroup: loops,
            workers: workers,
            logger: logger
        )
        return LateService(listener: listener)
    }

    func run() async throws {
        try? await gracefulShutdown()
        await self.listener.close()
    }
}
