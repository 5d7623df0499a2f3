import CFastCGI
import CLinux
import Glibc
package import Logging
package import NIOCore
import NIOPosix
import Synchronization

/// The web server's side: takes FastCGI requests from its listeners and hands them to a handler.
///
/// One thread accepts connections and deals them out to event loops; libfcgi parses what a guard has looked at, and
/// frames small answers. The comments name the hazards of docs/libfcgi.md that they answer (L1–L29). No thread is held by
/// an idle connection, by a request that waits for its answer, or by a slow peer.
package final class Responder: Sendable {
    private let core: ResponderCore
    private let sockets: Mutex<[ListeningSocket]>
    private let lifecycle = Mutex(Lifecycle())

    private struct Lifecycle {
        enum Stage {
            case opened
            case running
            case stopping
            case ended
        }

        var stage = Stage.opened
        /// When what is in flight is cut.
        var alarm: Scheduled<Void>?
    }

    /// Opens all listeners; connections wait in the system's queue until `run()`.
    /// - Parameter eventLoops: outlive the responder; requests come on them.
    /// - Throws: with the address and what can be done about it; nothing is left open.
    package init(
        configuration: ResponderConfiguration,
        handler: any RequestHandler,
        eventLoops: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger
    ) throws(ResponderError) {
        Self.prepareProcess()
        self.core = try ResponderCore(
            configuration: configuration,
            handler: handler,
            eventLoops: eventLoops,
            logger: logger
        )
        var sockets: [ListeningSocket] = []
        for listener in configuration.listeners {
            sockets.append(try ListeningSocket(listener))
        }
        self.sockets = Mutex(sockets)
    }

    /// Initialises libfcgi, once per process, and undoes what that does to signals: SIGTERM and SIGUSR1 mean what they
    /// meant before, SIGPIPE is ignored. Called by `init`; call it before handlers of one's own are installed (L16–L18).
    package static func prepareProcess() {
        self.isPrepared
    }

    private static let isPrepared: Void = {
        let actions = [SIGTERM, SIGUSR1].map { number in
            var action = sigaction()
            sigaction(number, nil, &action)
            return (number, action)
        }
        FCGX_Init()
        for (number, action) in actions {
            var action = action
            sigaction(number, &action, nil)
        }
        signal(SIGPIPE, SIG_IGN)
    }()

    /// The listeners in use, with the port that the system has chosen where any (0) was asked for.
    package var listeners: [ResponderConfiguration.Listener] {
        self.sockets.withLock { sockets in sockets.map(\.resolvedListener) }
    }

    package var statistics: ResponderStatistics { self.core.statistics.snapshot() }

    // MARK: Life

    /// Serves until `shutDown` has drained, or until the task is cancelled, which cuts what is in flight.
    /// - Throws: `.system` if its thread cannot be started.
    package func run() async throws(ResponderError) {
        let mayRun = self.lifecycle.withLock { lifecycle in
            guard lifecycle.stage == .opened else { return false }
            lifecycle.stage = .running
            return true
        }
        guard mayRun else { return }
        for socket in self.sockets.withLock({ $0 }) { self.core.add(socket) }
        let isStarted = await withTaskCancellationHandler {
            await self.runThread()
        } onCancel: {
            self.shutDown(timeout: .zero)
        }
        let alarm = self.lifecycle.withLock { lifecycle in
            lifecycle.stage = .ended
            return lifecycle.alarm
        }
        alarm?.cancel()
        self.closeListeners()
        self.core.close()
        guard isStarted else { throw ResponderError(.system, "cannot start a thread: \(SystemError.text(errno))") }
    }

    /// Stops accepting and closes idle connections at once; requests in flight go on until the timeout and are cut
    /// then. `run()` returns when none is left. Another call sets another timeout. Returns at once.
    package func shutDown(timeout: Duration) {
        let isRunning = self.lifecycle.withLock { lifecycle in
            switch lifecycle.stage {
            case .opened, .ended:
                lifecycle.stage = .ended
                return false
            case .running, .stopping:
                lifecycle.stage = .stopping
                return true
            }
        }
        self.closeListeners()
        guard isRunning else { return }
        let core = self.core
        let alarm = core.anyEventLoop.scheduleTask(in: TimeAmount(timeout)) { core.cutConnections() }
        self.lifecycle.withLock { lifecycle in
            lifecycle.alarm?.cancel()
            lifecycle.alarm = alarm
        }
        core.stop { core.endThread() }
    }

    private func closeListeners() {
        let sockets = self.sockets.withLock { sockets in
            defer { sockets = [] }
            return sockets
        }
        for socket in sockets { self.core.remove(socket) }
    }

    /// - Returns: whether the thread could be started, when it has ended.
    private func runThread() async -> Bool {
        await withCheckedContinuation { continuation in
            let isStarted = Self.startThread {
                self.core.runThread()
                continuation.resume(returning: true)
            }
            if !isStarted { continuation.resume(returning: false) }
        }
    }

    /// Starts a thread that takes no signals: libfcgi does not repeat an interrupted call.
    private static func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        // Inherited by the thread from its first moment on.
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body))
        let result = pthread_create(
            &thread,
            nil,
            { argument in
                clinux_name_thread("responder")
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            },
            box.toOpaque()
        )
        guard result == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    // MARK: Reload

    /// Listens at these addresses from now on. New ones are opened before old ones are closed; those that stay are
    /// never closed, and take a changed mode, group or list of clients over. Connections stay.
    /// Without effect once it is shutting down.
    /// - Throws: with the address and what can be done about it; nothing has changed then.
    package func update(listeners: [ResponderConfiguration.Listener]) throws(ResponderError) {
        let isServing = self.lifecycle.withLock { $0.stage == .opened || $0.stage == .running }
        guard isServing else { return }
        let current = self.sockets.withLock { $0 }
        var kept: [ListeningSocket] = []
        var opened: [ListeningSocket] = []
        var reconfigured: [(socket: ListeningSocket, before: ResponderConfiguration.Listener)] = []
        do throws(ResponderError) {
            for listener in listeners {
                if let socket = current.first(where: { $0.listener.address == listener.address }) {
                    kept.append(socket)
                } else {
                    opened.append(try ListeningSocket(listener))
                }
            }
            for listener in listeners {
                guard let socket = kept.first(where: { $0.listener.address == listener.address }),
                    socket.listener != listener
                else { continue }
                let before = socket.listener
                try socket.reconfigure(listener)
                reconfigured.append((socket, before))
            }
        } catch {
            for (socket, before) in reconfigured { try? socket.reconfigure(before) }
            throw error
        }
        self.sockets.withLock { $0 = kept + opened }
        switch self.lifecycle.withLock({ $0.stage }) {
        case .opened: break
        case .running: for socket in opened { self.core.add(socket) }
        // It has begun to shut down meanwhile, without these.
        case .stopping, .ended: self.closeListeners()
        }
        for socket in current where !kept.contains(where: { $0 === socket }) { self.core.remove(socket) }
    }
}
