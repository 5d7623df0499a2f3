import CGI
import FastCGI
package import Logging
import NIOCore
package import NIOPosix
import Synchronization

/// Runs scripts in FastCGI applications (php-fpm and others) over kept-alive connections.
///
/// One request at a time per connection; what exceeds `connections` waits in line. A request that finds its kept-alive
/// connection closed, which shows at once and before any byte of the answer, is sent once more on a new one if its body
/// is complete: php-fpm closes connections when a child has served its `pm.max_requests` or is reloaded. One that may not
/// be repeated by its nature (a POST) is sent once more only where the application has not taken it.
package final class FastCGIBackend: Backend {
    private struct Pool {
        var machine: ConnectionPoolStateMachine<FastCGIConnection, FastCGIRun>
        var drainWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let configuration: FastCGIBackendConfiguration
    private let logger: Logger
    private let rules: FastCGIScriptRules
    private let timeouts: FastCGITimeouts
    private let resolver: (any Resolver & Sendable)?
    private let pool: Mutex<Pool>

    /// - Parameter resolver: of the upstreams' host names; the system's where it is nil.
    package init(
        configuration: FastCGIBackendConfiguration,
        resolver: (any Resolver & Sendable)? = nil,
        logger: Logger
    ) {
        precondition(!configuration.upstreams.isEmpty, "a FastCGI backend has at least one upstream")
        self.configuration = configuration
        self.logger = logger
        self.resolver = resolver
        self.rules = FastCGIScriptRules(root: configuration.root)
        self.timeouts = FastCGITimeouts(configuration)
        let line = WaitingLine<FastCGIRun>(
            maximumCount: configuration.queueLength,
            patience: TimeAmount(configuration.queueTimeout)
        )
        self.pool = Mutex(
            Pool(
                machine: ConnectionPoolStateMachine(
                    upstreamCount: configuration.upstreams.count,
                    maximumConnections: max(1, configuration.connections),
                    line: line
                )
            )
        )
    }

    package func begin(_ request: consuming BackendRequest) async throws(BackendError) -> any BackendExchange {
        let run = try self.run(consume request)
        let action = self.pool.withLock { $0.machine.requestArrived(run, on: run.loopID, now: .now()) }
        self.perform(action, for: run)
        if !run.isStarted {
            try await withTaskCancellationHandler {
                await self.result(of: run)
            } onCancel: {
                self.giveUp(run)
            }.get()
        }
        return FastCGIExchange(run: run)
    }

    private func run(_ request: consuming BackendRequest) throws(BackendError) -> FastCGIRun {
        try self.rules.apply(to: &request.parameters)
        do throws(FastCGIError) {
            return try FastCGIRun(request, repeatWindow: self.timeouts.repeatWindow)
        } catch {
            throw BackendError(.malformedRequest, error.rawValue)
        }
    }

    package func shutDown() async {
        for connection in self.pool.withLock({ $0.machine.shutDown() }) {
            connection.close()
        }
        await withCheckedContinuation { continuation in
            let isDrained = self.pool.withLock { pool in
                if !pool.machine.isDrained { pool.drainWaiters.append(continuation) }
                return pool.machine.isDrained
            }
            if isDrained { continuation.resume() }
        }
    }

    // Inline, as every asynchronous call costs a frame and a look at where its caller shall go on.
    @inline(__always)
    private func result(of run: FastCGIRun) async -> Result<Void, BackendError> {
        do throws(BackendError) {
            try await run.waitForStart()
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// The calling task was cancelled while it waited.
    private func giveUp(_ run: FastCGIRun) {
        // Where it does not wait in line it is being connected, and the connection will find that it is over.
        _ = self.pool.withLock { $0.machine.giveUp(run) }
        if let connection = run.giveUp() {
            // Its turn had come, which the task has not heard of yet.
            connection.abort(run)
        } else {
            run.fail(BackendError(.cancelled, "the caller gave up"))
        }
        self.resumeDrainWaiters()
    }

    // MARK: - Places

    private func perform(
        _ action: ConnectionPoolStateMachine<FastCGIConnection, FastCGIRun>.LeaseAction,
        for run: FastCGIRun
    ) {
        switch action {
        case .proceed(let lease):
            self.perform(lease, for: run)
        case .wait(let deadline, let turn):
            if let deadline { self.armExpiry(at: deadline, on: run.eventLoop) }
            self.perform(turn)
        case .refuse(.full):
            run.fail(BackendError(.queueFull, "too many requests wait for \(self.name)"))
        case .refuse(.shuttingDown):
            run.fail(BackendError(.unavailable, "\(self.name) is shutting down"))
        case .refuse(.unreachable):
            run.fail(BackendError(.unavailable, "\(self.name) cannot be reached"))
        }
    }

    private func perform(
        _ lease: ConnectionPoolStateMachine<FastCGIConnection, FastCGIRun>.Lease,
        for run: FastCGIRun
    ) {
        switch lease {
        case .use(let connection): connection.start(run)
        case .connect(let upstream): self.connect(to: upstream, for: run)
        }
    }

    private func perform(_ turn: ConnectionPoolStateMachine<FastCGIConnection, FastCGIRun>.Turn?) {
        if let turn { self.perform(turn.lease, for: turn.waiter) }
    }

    private func armExpiry(at deadline: NIODeadline, on eventLoop: any EventLoop) {
        eventLoop.scheduleTask(deadline: deadline) {
            let (expired, next) = self.pool.withLock { $0.machine.expire(now: .now()) }
            for run in expired {
                run.fail(BackendError(.queueTimedOut, "no connection to \(self.name) became free in time"))
            }
            if let next { self.armExpiry(at: next, on: eventLoop) }
            self.resumeDrainWaiters()
        }
    }

    private func connect(to upstream: Int, for run: FastCGIRun) {
        let connection = FastCGIConnection(
            eventLoop: run.eventLoop,
            upstream: upstream,
            backend: self,
            timeouts: self.timeouts
        )
        let connector = FastCGIConnector(
            upstream: self.configuration.upstreams[upstream],
            timeout: TimeAmount(self.configuration.connectTimeout),
            eventLoop: run.eventLoop,
            resolver: self.resolver
        )
        connector.connect(connection).whenComplete { result in
            switch result {
            case .success:
                if self.pool.withLock({ $0.machine.connectSucceeded(upstream: upstream) }) {
                    self.logger.notice("backend is reachable again", metadata: self.metadata(upstream))
                }
                connection.start(run)
            case .failure(let error):
                self.connectFailed(upstream, for: run, error)
            }
        }
    }

    private func connectFailed(_ upstream: Int, for run: FastCGIRun, _ error: any Error) {
        let tried = run.upstreamFailed(upstream)
        let failure = self.pool.withLock { pool in
            pool.machine.connectFailed(
                upstream: upstream,
                waiter: run,
                tried: tried,
                on: run.loopID,
                now: .now()
            )
        }
        if failure.wentDown {
            self.logger.warning("backend cannot be reached", metadata: self.metadata(upstream, error: "\(error)"))
        }
        self.perform(failure.action, for: run)
        self.perform(failure.turn)
        self.resumeDrainWaiters()
    }

    // MARK: - What connections tell, on their event loops

    /// The connection can be used for another request.
    func connectionFreed(_ connection: FastCGIConnection) {
        let action = self.pool.withLock { pool in
            pool.machine.connectionFreed(
                connection,
                upstream: connection.upstream,
                loop: connection.loopID,
                now: .now()
            )
        }
        switch action {
        case .hand(let run, let turn):
            connection.start(run)
            self.perform(turn)
        case .park: break
        case .close: connection.close()
        }
    }

    func connectionClosed(_ connection: FastCGIConnection) {
        let turn = self.pool.withLock { pool in
            pool.machine.connectionClosed(connection, upstream: connection.upstream, now: .now())
        }
        self.perform(turn)
        self.resumeDrainWaiters()
    }

    /// The connection was closed before the application had seen its request; a new one takes its place.
    func connectionClosed(_ connection: FastCGIConnection, reconnectingFor run: FastCGIRun) {
        self.connect(to: connection.upstream, for: run)
    }

    /// The pool chose a connection that had just been closed: nothing was sent, the request looks for another one.
    func connectionWasLost(for run: FastCGIRun) {
        guard run.repeats(nothingWasSent: true) else {
            run.fail(BackendError(.unavailable, "\(self.name) closes its connections"))
            return
        }
        let action = self.pool.withLock { $0.machine.requestReturned(run, on: run.loopID, now: .now()) }
        self.perform(action, for: run)
    }

    /// - Returns: whether to close the connection.
    func idleTimedOut(_ connection: FastCGIConnection) -> Bool {
        self.pool.withLock { $0.machine.idleTimedOut(connection, upstream: connection.upstream) }
    }

    private func resumeDrainWaiters() {
        let waiters = self.pool.withLock { pool -> [CheckedContinuation<Void, Never>] in
            guard !pool.drainWaiters.isEmpty, pool.machine.isDrained else { return [] }
            defer { pool.drainWaiters = [] }
            return pool.drainWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private var name: String {
        self.configuration.upstreams.map(\.description).joined(separator: ", ")
    }

    private func metadata(_ upstream: Int, error: String? = nil) -> Logger.Metadata {
        .backend(self.configuration.upstreams[upstream].description, error: error)
    }
}
