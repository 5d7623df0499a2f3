import CLinux
import Glibc
import Logging
import Synchronization

/// What all connections and threads of a responder share.
final class ResponderCore: Sendable {
    let configuration: ResponderConfiguration
    let paceLimits: BodyPace.Limits
    let handler: any RequestHandler
    let logger: Logger
    let statistics = StatisticsCounters()
    let kits = ReadKitPool()
    let deadlines: DeadlineList
    let epoll: Int32

    /// The tokens of the descriptors that are no connections and no listeners.
    static let wakeToken: UInt64 = 0
    static let timerToken: UInt64 = 1
    private static let firstToken: UInt64 = 2

    private let timer: Int32
    private let wake: Int32
    private let refusals: RefusalLog
    private let registry = Mutex(Registry())
    private let stopping = Atomic(false)
    private let closing = Atomic(false)
    private let spare = Mutex<Int32>(-1)

    private struct Registry {
        var nextToken = ResponderCore.firstToken
        var connections: [UInt64: Connection] = [:]
        var sockets: [UInt64: ListeningSocket] = [:]
        /// Called once no connection is left.
        var drained: (@Sendable () -> Void)?
    }

    init(
        configuration: ResponderConfiguration,
        handler: any RequestHandler,
        logger: Logger
    ) throws(ResponderError) {
        self.configuration = configuration
        self.paceLimits = BodyPace.Limits(
            timeout: configuration.clientTimeout,
            minimumRate: configuration.minimumRate
        )
        self.handler = handler
        self.logger = logger
        self.refusals = RefusalLog(logger)
        self.epoll = clinux_epoll_create()
        self.timer = clinux_timer_descriptor()
        self.wake = clinux_event_descriptor()
        self.deadlines = DeadlineList(timer: self.timer)
        guard self.epoll >= 0, self.timer >= 0, self.wake >= 0,
            // The wake event stays set, so that it ends all threads.
            clinux_epoll_add(self.epoll, self.wake, CLINUX_EPOLL_IN, Self.wakeToken) == 0,
            clinux_epoll_add(self.epoll, self.timer, CLINUX_EPOLL_IN | CLINUX_EPOLL_EDGE, Self.timerToken) == 0
        else {
            throw ResponderError(.system, "cannot create an epoll set: \(SystemError.text(errno))")
        }
        self.spare.withLock { $0 = Self.openSpare() }
    }

    deinit {
        for descriptor in [self.epoll, self.timer, self.wake, self.spare.withLock { $0 }] where descriptor >= 0 {
            _ = close(descriptor)
        }
    }

    // MARK: Threads

    /// A thread's life: takes events until `endThreads()`.
    func runThread() {
        let kit = ReadKit()
        var events = [clinux_event](repeating: clinux_event(), count: Int(CLINUX_EPOLL_CAPACITY))
        while !self.closing.load(ordering: .acquiring) {
            let count = clinux_epoll_wait(self.epoll, &events)
            guard count > 0 else { continue }
            for event in events[..<Int(count)] {
                self.eventOccurred(event, kit)
            }
        }
    }

    private func eventOccurred(_ event: clinux_event, _ kit: ReadKit) {
        switch event.token {
        case Self.wakeToken:
            break
        case Self.timerToken:
            var expirations: UInt64 = 0
            _ = read(self.timer, &expirations, 8)
            self.deadlines.tick { self.rearm($0) }
        default:
            // An event of a connection that another thread has closed meanwhile finds nothing here.
            let (connection, socket) = self.registry.withLock { registry in
                let connection = registry.connections[event.token]
                return (connection, connection == nil ? registry.sockets[event.token] : nil)
            }
            if let connection {
                connection.eventOccurred(event.events, kit)
            } else if let socket {
                self.accept(from: socket)
            }
        }
    }

    func endThreads() {
        self.closing.store(true, ordering: .releasing)
        var one: UInt64 = 1
        _ = write(self.wake, &one, 8)
    }

    // MARK: Listeners

    func add(_ socket: ListeningSocket) {
        let token = self.registry.withLock { registry in
            registry.nextToken += 1
            registry.sockets[registry.nextToken] = socket
            return registry.nextToken
        }
        socket.register(in: self.epoll, token: token)
    }

    /// Stops accepting and closes it. Connections that it has accepted stay.
    func remove(_ socket: ListeningSocket) {
        socket.close()
        self.registry.withLock { registry in
            registry.sockets = registry.sockets.filter { $0.value !== socket }
        }
    }

    private func rearm(_ socket: ListeningSocket) {
        socket.rearm(in: self.epoll)
    }

    /// Accepts what waits, at most 64 connections before other events have their turn.
    private func accept(from socket: ListeningSocket) {
        for _ in 0..<64 {
            switch socket.accept() {
            case .connection(let descriptor, let isLocal):
                self.accepted(descriptor, isLocal: isLocal)
            case .notAllowed:
                self.refused(.clientNotAllowed)
            case .empty:
                self.rearm(socket)
                return
            case .noDescriptors:
                self.refused(.noDescriptors)
                self.turnAway(socket)
                self.deadlines.pause(socket)
                return
            case .closed:
                return
            }
        }
        self.rearm(socket)
    }

    /// Uses the spare descriptor to accept and close one connection, so that its peer knows.
    private func turnAway(_ socket: ListeningSocket) {
        self.spare.withLock { spare in
            guard spare >= 0 else { return }
            _ = close(spare)
            if case .connection(let descriptor, _) = socket.accept() { _ = close(descriptor) }
            spare = Self.openSpare()
        }
    }

    private static func openSpare() -> Int32 { open("/dev/null", O_RDONLY | O_CLOEXEC) }

    // MARK: Connections

    private func accepted(_ descriptor: Int32, isLocal: Bool) {
        guard self.statistics.openConnectionCount < self.configuration.maximumConnections else {
            _ = close(descriptor)
            self.refused(.manyConnections)
            return
        }
        self.statistics.connectionAccepted()
        let connection = self.registry.withLock { registry in
            registry.nextToken += 1
            let connection = Connection(
                token: registry.nextToken,
                descriptor: descriptor,
                isLocal: isLocal,
                core: self
            )
            registry.connections[registry.nextToken] = connection
            return connection
        }
        connection.register()
    }

    /// The connection has closed its descriptor.
    func connectionClosed(_ connection: Connection) {
        self.statistics.connectionClosed()
        let drained = self.registry.withLock { registry -> (@Sendable () -> Void)? in
            registry.connections[connection.token] = nil
            guard registry.connections.isEmpty else { return nil }
            defer { registry.drained = nil }
            return registry.drained
        }
        drained?()
    }

    func refused(_ reason: RefusalReason) {
        self.statistics.refused(reason)
        self.refusals.refused(reason)
    }

    // MARK: Shutdown

    /// Whether connections are closed instead of being kept for another request.
    var isStopping: Bool { self.stopping.load(ordering: .acquiring) }

    /// Closes idle connections, now and whenever one becomes idle.
    /// - Parameter drained: called once no connection is left.
    func stop(drained: @escaping @Sendable () -> Void) {
        self.stopping.store(true, ordering: .releasing)
        let connections = self.registry.withLock { registry -> [Connection] in
            registry.drained = drained
            return Array(registry.connections.values)
        }
        self.kits.with { kit in
            for connection in connections { connection.closeIfIdle(kit) }
        }
        let isDrained = self.registry.withLock { registry in
            guard registry.connections.isEmpty, registry.drained != nil else { return false }
            registry.drained = nil
            return true
        }
        if isDrained { drained() }
    }

    func cutConnections() {
        for connection in self.registry.withLock({ Array($0.connections.values) }) { connection.cut() }
    }
}
