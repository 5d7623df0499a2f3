import CGI
package import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Runs scripts as processes (RFC 3875), one per request.
///
/// At most `processes` run at once, the rest waits in line. A place is free again when the process is gone, not when
/// the request is over.
package final class CGIBackend: Backend {
    private struct Places {
        var machine: PlaceStateMachine<PlaceWaiter>
        var drainWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let configuration: CGIBackendConfiguration
    private let timeouts: CGITimeouts
    private let logger: Logger
    private let places: Mutex<Places>
    private let watcher: ChildExitWatcher

    /// - Throws: `.unavailable` where descriptors have run out.
    package init(configuration: CGIBackendConfiguration, logger: Logger) throws(BackendError) {
        self.configuration = configuration
        self.timeouts = CGITimeouts(configuration)
        self.logger = logger
        self.watcher = try ChildExitWatcher()
        let line = WaitingLine<PlaceWaiter>(
            maximumCount: configuration.queueLength,
            patience: TimeAmount(configuration.queueTimeout)
        )
        self.places = Mutex(
            Places(machine: PlaceStateMachine(maximumCount: max(1, configuration.processes), line: line))
        )
    }

    deinit {
        // Processes hold the backend: none is left.
        self.watcher.stop()
    }

    /// Kills all scripts of all backends, without a chance to tidy up: for a process that ends at once.
    package static func killAllScripts() {
        ChildProcess.killAll()
    }

    package func begin(_ request: consuming BackendRequest) async throws(BackendError) -> any BackendExchange {
        let path = try CGIScriptPath(parameters: request.parameters, root: self.configuration.root)
        try await self.takePlace(on: request.eventLoop)
        let child: ChildProcess
        do throws(BackendError) {
            child = try await self.startChild(path, for: request)
        } catch {
            self.releasePlace()
            throw error
        }
        let (body, bodyIsFinished): (ByteBuffer?, Bool) =
            switch request.body {
            case .complete(let body): (body.readableBytes > 0 ? body : nil, true)
            case .streamed: (nil, false)
            }
        let process = CGIProcess(
            child,
            assembler: ResponseAssembler(
                limits: self.configuration.headLimits,
                answersHead: request.parameters.string("REQUEST_METHOD") == "HEAD"
            ),
            bodyIsFinished: bodyIsFinished,
            timeouts: self.timeouts,
            eventLoop: request.eventLoop,
            logger: self.logger,
            reaped: { self.releasePlace() }
        )
        do {
            try await process.start(watcher: self.watcher, body: body).get()
        } catch {
            throw BackendError(.unavailable, "the script's pipes cannot be registered: \(error)")
        }
        return CGIExchange(process: process)
    }

    package func shutDown() async {
        await withCheckedContinuation { continuation in
            let isDrained = self.places.withLock { places in
                places.machine.shutDown()
                if !places.machine.isDrained { places.drainWaiters.append(continuation) }
                return places.machine.isDrained
            }
            if isDrained { continuation.resume() }
        }
    }

    /// Looks for the script and starts it, on a thread that may wait for the file system.
    private func startChild(
        _ path: CGIScriptPath,
        for request: BackendRequest
    ) async throws(BackendError) -> ChildProcess {
        let configuration = self.configuration
        let readsInput =
            switch request.body {
            case .complete(let body): body.readableBytes > 0
            case .streamed: true
            }
        let parameters = request.parameters
        let started = NIOThreadPool.singleton.runIfActive(eventLoop: request.eventLoop) {
            () -> Result<ChildProcess, BackendError> in
            do throws(BackendError) {
                let script = try CGIScript(path, root: configuration.root)
                let environment = try CGIEnvironment(
                    parameters: parameters,
                    replaced: path.split(afterComponents: script.componentCount, parameters: parameters),
                    configuration: configuration
                )
                return .success(try ChildProcess.start(script, environment: environment, readsInput: readsInput))
            } catch {
                return .failure(error)
            }
        }
        let result: Result<ChildProcess, BackendError>
        do {
            result = try await started.get()
        } catch {
            throw BackendError(.unavailable, "no thread to start the script: \(error)")
        }
        return try result.get()
    }

    // MARK: - Places

    private func takePlace(on eventLoop: any EventLoop) async throws(BackendError) {
        let waiter = PlaceWaiter()
        let action = self.places.withLock { places in
            places.machine.requestArrived(waiter, on: ObjectIdentifier(eventLoop), now: .now())
        }
        switch action {
        case .proceed:
            return
        case .refuse(isShuttingDown: true):
            throw BackendError(.unavailable, "the backend is shutting down")
        case .refuse(isShuttingDown: false):
            throw BackendError(.queueFull, "too many requests wait for a script to end")
        case .wait(let deadline):
            if let deadline { self.armExpiry(at: deadline, on: eventLoop) }
        }
        try await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            // Whoever takes it out of the line decides: a place that was given must be given back.
            if self.places.withLock({ $0.machine.giveUp(waiter) }) {
                waiter.decide(.failure(BackendError(.cancelled, "the caller gave up")))
                self.resumeDrainWaiters()
            }
        }.get()
        if Task.isCancelled {
            self.releasePlace()
            throw BackendError(.cancelled, "the caller gave up")
        }
    }

    private func releasePlace() {
        let waiter = self.places.withLock { $0.machine.placeFreed() }
        waiter?.decide(.success(()))
        self.resumeDrainWaiters()
    }

    private func armExpiry(at deadline: NIODeadline, on eventLoop: any EventLoop) {
        eventLoop.scheduleTask(deadline: deadline) {
            let (expired, next) = self.places.withLock { $0.machine.expire(now: .now()) }
            for waiter in expired {
                waiter.decide(.failure(BackendError(.queueTimedOut, "no script ended in time")))
            }
            if let next { self.armExpiry(at: next, on: eventLoop) }
            self.resumeDrainWaiters()
        }
    }

    private func resumeDrainWaiters() {
        let waiters = self.places.withLock { places -> [CheckedContinuation<Void, Never>] in
            guard !places.drainWaiters.isEmpty, places.machine.isDrained else { return [] }
            defer { places.drainWaiters = [] }
            return places.drainWaiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
