import Configuration
import Logging
import NIOCore
import Responder
import ServiceLifecycle
import Store
import Synchronization

/// Keeps the configuration in force: runs its walkers and watches, and on a reload puts another one in its place without failing a
/// request.
final class GenerationService: Service {
    private let workers: [Worker]
    private let reload: (@Sendable () -> GatewayConfiguration?)?
    private let logger: Logger
    private let reloads: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let started: GatewayConfiguration
    private let current: Mutex<Generation>
    private let updateListeners = Mutex<(@Sendable ([ResponderConfiguration.Listener]) throws -> Void)?>(nil)

    init(
        first: Generation,
        workers: [Worker],
        reload: (@Sendable () -> GatewayConfiguration?)?,
        logger: Logger
    ) {
        self.started = first.configuration
        self.current = Mutex(first)
        self.workers = workers
        self.reload = reload
        self.logger = logger
        // Several SIGHUPs at once are one reload.
        (self.reloads, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func setListeners(_ update: @escaping @Sendable ([ResponderConfiguration.Listener]) throws -> Void) {
        self.updateListeners.withLock { $0 = update }
    }

    /// Reads the configuration anew, behind the caller's back.
    func reloadConfiguration() {
        self.continuation.yield()
    }

    /// The stores' connections are there, or have had their time.
    func waitUntilReady() async {
        var generations: [LoopGeneration] = []
        for worker in self.workers {
            generations.append(await worker.loopGeneration)
        }
        await self.waitUntilReady(generations)
    }

    private func waitUntilReady(_ generations: [LoopGeneration]) async {
        let sites = generations.first?.shared.configuration.sites ?? []
        let deadline = ContinuousClock.now + (sites.map(\.connectTimeout).max() ?? .zero)
        while ContinuousClock.now < deadline {
            var isReady = true
            for (worker, generation) in zip(self.workers, generations) {
                isReady = await worker.isReady(generation) && isReady
            }
            if isReady { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                var companions = self.accompany(in: &group)
                for await _ in self.reloads {
                    // One that came before the shutdown, or beside it.
                    if Task.isShuttingDownGracefully { break }
                    guard let next = await self.read() else { continue }
                    let prepared = await self.prepare(next)
                    companions.cancel()
                    let old = self.current.withLock { current in
                        let old = current
                        current = next
                        return old
                    }
                    next.putInForce()
                    let ended = await self.install(prepared)
                    companions = self.accompany(in: &group)
                    self.logger.notice("the configuration has been read anew and is in force")
                    let left = next.configuration.keysForNextStart(since: self.started)
                    if !left.isEmpty {
                        self.logger.warning(
                            "some keys are read at the start only: they take effect at the next one",
                            metadata: .of([.keys: left.joined(separator: ", ")])
                        )
                    }
                    group.addTask {
                        for future in ended {
                            try? await future.get()
                        }
                        await old.shutDown()
                    }
                }
                companions.cancel()
                await self.end()
            }
        } onGracefulShutdown: {
            // Not one more element: those that wait could push it out.
            self.continuation.finish()
        }
    }

    /// - Returns: nil where the file has errors: the old configuration stays.
    private func read() async -> Generation? {
        guard let reload else {
            self.logger.warning("there is no configuration file to read anew")
            return nil
        }
        guard let configuration = reload() else { return nil }
        do {
            let next = try await Generation.prepare(
                configuration,
                after: self.current.withLock { $0 },
                logger: self.logger
            )
            do {
                try self.updateListeners.withLock { $0 }?(ResponderConfiguration(configuration).listeners)
            } catch {
                await next.discard()
                throw error
            }
            return next
        } catch {
            self.logger.error(
                "the new configuration cannot be put in force: the old one stays",
                metadata: .of([.error: "\(error)"])
            )
            return nil
        }
    }

    /// By event loop. Returns when the stores' connections are there, or have had their time: a request that found none
    /// would fail.
    private func prepare(_ generation: Generation) async -> [LoopGeneration] {
        var generations: [LoopGeneration] = []
        for worker in self.workers {
            generations.append(await worker.prepare(generation))
        }
        await self.waitUntilReady(generations)
        return generations
    }

    /// - Returns: by event loop, when the last request of the generation before has ended.
    private func install(_ generations: [LoopGeneration]) async -> [EventLoopFuture<Void>] {
        var futures: [EventLoopFuture<Void>] = []
        for (worker, generation) in zip(self.workers, generations) {
            futures.append(await worker.install(generation))
        }
        return futures
    }

    /// Returns when the last request has ended and all connections are closed.
    func end() async {
        for future in await self.retireAll() {
            try? await future.get()
        }
        await self.current.withLock { $0 }.shutDown()
    }

    private func retireAll() async -> [EventLoopFuture<Void>] {
        var futures: [EventLoopFuture<Void>] = []
        for worker in self.workers {
            futures.append(await worker.retire())
        }
        return futures
    }

    /// One walker, one keeper of the pool's state and one watch per store, on the first event loop.
    private func accompany(in group: inout DiscardingTaskGroup) -> Companions {
        let companions = Companions()
        let worker = self.workers[0]
        group.addTask {
            await companions.run(on: worker)
        }
        return companions
    }
}

/// What runs beside the requests of one generation, walkers and watches; ends when it is cancelled.
private final class Companions: Sendable {
    private let stop: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (self.stop, self.continuation) = AsyncStream.makeStream()
    }

    func cancel() {
        self.continuation.finish()
    }

    func run(on worker: Worker) async {
        await withTaskExecutorPreference(worker.executor) {
            await withDiscardingTaskGroup { group in
                let generation = worker.generation
                for (name, adoption) in generation.shared.adoptions {
                    var logger = generation.shared.logger
                    logger[.site] = name
                    group.addTask { [logger] in await adoption.report(logger) }
                }
                generation.shared.accompanyDatabases(in: &group, stores: generation.ownStores)
                for (site, store) in generation.ownStores {
                    group.addTask { await site.counters.report(site.logger) }
                    group.addTask { await Walker(pool: store.pool, logger: site.logger).run() }
                    group.addTask { await PoolKeeper(pool: store.pool, logger: site.logger).run() }
                    group.addTask { await ServerWatch(pool: store.pool, logger: site.logger).run() }
                }
                for await _ in self.stop {}
                group.cancelAll()
            }
        }
    }
}
