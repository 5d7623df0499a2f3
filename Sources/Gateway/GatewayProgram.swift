package import Configuration
import Glibc
package import Logging
import NIOCore
import NIOPosix
import Responder
import ServiceLifecycle

/// The program: event loops, the configuration in force, the web server's side, the socket for late answers, signals.
package enum GatewayProgram {
    /// Runs until SIGTERM or SIGINT, and returns when the requests in flight have ended (at most `shutdown_timeout`).
    ///
    /// - Parameter reload: reads the configuration anew for SIGHUP; nil where it has errors, which it has logged. Absent
    ///   where there is no file.
    /// - Throws: `GatewayError` and the like, with a text for the operator: the gateway could not start.
    package static func run(
        configuration: GatewayConfiguration,
        reload: (@Sendable () -> GatewayConfiguration?)?,
        logger: Logger
    ) async throws {
        Responder.prepareProcess()
        let loops = MultiThreadedEventLoopGroup(
            numberOfThreads: min(configuration.threads.count(cores: System.coreCount), Worker.maximumCount)
        )
        let generation = try await Generation.prepare(configuration, logger: logger)
        let workers = try await Worker.make(on: loops, generation: generation, logger: logger)
        let generations = GenerationService(first: generation, workers: workers, reload: reload, logger: logger)
        // Who sees the sockets may send one.
        let signals = await SignalWatch.trap()
        let responder: Responder
        let late: LateService
        do {
            // First, as it tells whether another gateway runs already.
            responder = try Responder(
                configuration: ResponderConfiguration(configuration),
                handler: RequestDispatcher(workers: workers),
                eventLoops: loops,
                logger: logger
            )
            do {
                late = try await LateService.bind(configuration, loops: loops, workers: workers, logger: logger)
            } catch {
                responder.shutDown(timeout: .zero)
                throw error
            }
        } catch {
            await generations.end()
            try await loops.shutdownGracefully()
            throw error
        }
        await generations.waitUntilReady()
        generations.setListeners { try responder.update(listeners: $0) }
        logger.notice(
            "session-gateway is ready",
            metadata: .of([
                .address: configuration.listeners.map { "\($0.address)" }.joined(separator: ", "),
                .site: configuration.sites.map(\.name).joined(separator: ", "),
            ])
        )
        // Started in this order, shut down in the opposite one.
        let services = ServiceGroup(
            services: [
                generations, late, ResponderService(responder: responder, timeout: configuration.shutdownTimeout),
            ],
            logger: logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await services.run() }
            let watch = SignalWatch(signals: signals, services: services, generations: generations, logger: logger)
            group.addTask { await watch.run() }
            defer { group.cancelAll() }
            try await group.next()
        }
        try await loops.shutdownGracefully()
        logger.notice("session-gateway has ended")
    }
}
