import CGI
import Configuration
import Logging
import NIOCore
import Responder
import Sessions
import Store

/// What one event loop needs for its requests: the configuration in force, the store's connections, chance, and the
/// late answers that are waited for. All on that loop.
///
/// `@unchecked Sendable`: bound to its event loop; every entry asserts that or hops to it.
final class Worker: @unchecked Sendable {
    let index: UInt8
    let eventLoop: any EventLoop
    let executor: EventLoopExecutor
    let lateAnswers: LateAnswers
    let lateSocket: String?
    let logger: Logger
    var random = SystemRandom()
    private(set) var generation: LoopGeneration

    /// A token's byte names the event loop.
    static let maximumCount = 256

    private init(
        index: UInt8,
        eventLoop: any EventLoop,
        generation: LoopGeneration,
        logger: Logger
    ) {
        eventLoop.assertInEventLoop()
        let configuration = generation.shared.configuration
        self.index = index
        self.eventLoop = eventLoop
        self.executor = EventLoopExecutor(eventLoop)
        self.lateAnswers = LateAnswers(eventLoop: eventLoop, timeout: configuration.lateTimeout)
        self.lateSocket = configuration.lateSocketPath
        self.logger = logger
        self.generation = generation
        generation.start()
    }

    /// One per event loop, at most `maximumCount`.
    static func make(
        on loops: any EventLoopGroup,
        generation: Generation,
        logger: Logger
    ) async throws -> [Worker] {
        var workers: [Worker] = []
        for (index, loop) in loops.makeIterator().prefix(Self.maximumCount).enumerated() {
            let worker = try await loop.submit {
                Worker(
                    index: UInt8(truncatingIfNeeded: index),
                    eventLoop: loop,
                    generation: LoopGeneration(generation, eventLoop: loop),
                    logger: logger
                )
            }.get()
            workers.append(worker)
        }
        return workers
    }

    // MARK: The configuration in force

    var loopGeneration: LoopGeneration {
        get async { await self.onLoop { self.generation } }
    }

    /// Another configuration as this event loop will see it: its stores begin to connect.
    func prepare(_ generation: Generation) async -> LoopGeneration {
        await self.onLoop {
            let next = LoopGeneration(generation, eventLoop: self.eventLoop)
            next.start()
            return next
        }
    }

    func isReady(_ generation: LoopGeneration) async -> Bool {
        await self.onLoop { generation.isReady }
    }

    /// Puts another configuration in force.
    /// - Returns: succeeds when the last request of the old one has ended, and its late answers have had their time.
    func install(_ generation: LoopGeneration) async -> EventLoopFuture<Void> {
        await self.onLoop {
            let old = self.generation
            self.generation = generation
            return old.retire()
        }
    }

    /// No request starts any more.
    /// - Returns: succeeds when the last one has ended and the store's connections are closed.
    func retire() async -> EventLoopFuture<Void> {
        await self.onLoop {
            self.lateAnswers.close()
            return self.generation.retire()
        }
    }

    private func onLoop<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            self.eventLoop.execute { continuation.resume(returning: body()) }
        }
    }

    // MARK: Requests

    /// Starts a request's task on this event loop. From any thread.
    ///
    /// The task has an owner: the responder, whose shutdown waits for every request to be finished or aborted.
    func begin(_ request: IncomingRequest) {
        let task = Task(executorPreference: self.executor) {
            await self.serve(request)
        }
        request.onClientGone { task.cancel() }
    }

    // Inline, as every asynchronous call costs a frame and a look at where its caller shall go on.
    @inline(__always)
    private func serve(_ request: IncomingRequest) async {
        let generation = self.generation
        generation.useBegan()
        defer { generation.useEnded() }
        guard let index = generation.shared.table.site(of: request.parameters) else {
            self.logNoSite(of: request.parameters)
            await GatewayResponse.error(404, "No site of the gateway is configured for this request.").send(to: request)
            return
        }
        await RequestPath(request: request, worker: self, generation: generation, site: index).run()
    }

    private func logNoSite(of parameters: Parameters) {
        if let name = parameters.string("SESSION_SITE"), !name.isEmpty {
            self.logger.warning(
                "a request whose SESSION_SITE is no site of the configuration; see its fastcgi_param in nginx",
                metadata: .of([.sessionSite: LogText.escaped(name)])
            )
        } else {
            self.logger.warning(
                "a request that matches no site",
                metadata: .of([.serverName: LogText.escaped(parameters.string("SERVER_NAME") ?? "")])
            )
        }
    }
}
