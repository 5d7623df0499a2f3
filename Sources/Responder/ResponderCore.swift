import CLinux
import Glibc
import Logging
import NIOCore
import Synchronization

/// What all connections of a responder share, and the thread that accepts them.
final class ResponderCore: Sendable {
    let configuration: ResponderConfiguration
    let paceLimits: BodyPace.Limits
    let handler: any RequestHandler
    let logger: Logger
    let statistics = StatisticsCounters()

    /// One per event loop; connections are dealt out to them, each in turn.
    private let loops: [ResponderLoop]
    private let epoll: Int32
    private let wake: Int32
    /// Names the wake event in the epoll set; listeners have greater numbers.
    private static let wakeToken: UInt64 = 0
    /// How long a listener rests when there are no descriptors.
    private static let pause: TimeAmount = .milliseconds(50)

    private let refusals: RefusalLog
    private let registry = Mutex(Registry())
    private let stopping = Atomic(false)
    private let closing = Atomic(false)
    private let spare = Mutex<Int32>(-1)
    /// Whether the descriptors are there.
    private let isOpen = Mutex(true)

    private struct Registry {
        /// Of a listener or a connection.
        var lastNumber = ResponderCore.wakeToken
        var connections: [UInt64: Connection] = [:]
        var sockets: [UInt64: ListeningSocket] = [:]
        /// Called once no connection is left.
        var drained: (@Sendable () -> Void)?

        mutating func nextNumber() -> UInt64 {
            self.lastNumber += 1
            return self.lastNumber
        }
    }

    init(
        configuration: ResponderConfiguration,
        handler: any RequestHandler,
        eventLoops: any EventLoopGroup,
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
        self.loops = eventLoops.makeIterator().map { ResponderLoop(deadlines: DeadlineList(on: $0)) }
        self.epoll = clinux_epoll_create()
        self.wake = clinux_event_descriptor()
        guard self.epoll >= 0, self.wake >= 0,
            clinux_epoll_add(self.epoll, self.wake, CLINUX_EPOLL_IN, Self.wakeToken) == 0
        else {
            throw ResponderError(.system, "cannot create an epoll set: \(SystemError.text(errno))")
        }
        self.spare.withLock { $0 = Self.openSpare() }
    }

    deinit {
        self.close()
    }

    /// Gives the descriptors back once the thread has ended and the listeners are closed. Idempotent.
    func close() {
        self.isOpen.withLock { isOpen in
            guard isOpen else { return }
            isOpen = false
            for descriptor in [self.epoll, self.wake, self.spare.withLock { $0 }] where descriptor >= 0 {
                _ = Glibc.close(descriptor)
            }
        }
    }

    // MARK: The thread

    /// Accepts until `endThread()`.
    func runThread() {
        var events = [clinux_event](repeating: clinux_event(), count: Int(CLINUX_EPOLL_CAPACITY))
        while !self.closing.load(ordering: .acquiring) {
            let count = clinux_epoll_wait(self.epoll, &events)
            guard count > 0 else { continue }
            for event in events[..<Int(count)] {
                if let socket = self.registry.withLock({ $0.sockets[event.token] }) { self.accept(from: socket) }
            }
        }
    }

    func endThread() {
        self.closing.store(true, ordering: .releasing)
        self.isOpen.withLock { isOpen in
            guard isOpen else { return }
            var one: UInt64 = 1
            _ = write(self.wake, &one, 8)
        }
    }

    // MARK: Listeners

    func add(_ socket: ListeningSocket) {
        let token = self.registry.withLock { registry in
            let number = registry.nextNumber()
            registry.sockets[number] = socket
            return number
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
            case .connection(let descriptor):
                self.accepted(descriptor)
            case .notAllowed:
                self.refused(.clientNotAllowed)
            case .empty:
                self.rearm(socket)
                return
            case .noDescriptors:
                self.refused(.noDescriptors)
                self.turnAway(socket)
                self.anyEventLoop.scheduleTask(in: Self.pause) { self.rearm(socket) }
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
            _ = Glibc.close(spare)
            if case .connection(let descriptor) = socket.accept() { _ = Glibc.close(descriptor) }
            spare = Self.openSpare()
        }
    }

    private static func openSpare() -> Int32 { open("/dev/null", O_RDONLY | O_CLOEXEC) }

    // MARK: Connections

    private func accepted(_ descriptor: Int32) {
        guard self.statistics.openConnectionCount < self.configuration.maximumConnections else {
            _ = Glibc.close(descriptor)
            self.refused(.manyConnections)
            return
        }
        self.statistics.connectionAccepted()
        let connection = self.registry.withLock { registry in
            let number = registry.nextNumber()
            let connection = Connection(
                number: number,
                descriptor: descriptor,
                loop: self.loops[Int(number % UInt64(self.loops.count))],
                core: self
            )
            registry.connections[number] = connection
            return connection
        }
        connection.open(descriptor)
    }

    /// For what is to happen later, on whatever thread.
    var anyEventLoop: any EventLoop { self.loops[0].deadlines.eventLoop }

    /// The connection's channel has closed its descriptor.
    func connectionClosed(_ connection: Connection) {
        self.statistics.connectionClosed()
        let drained = self.registry.withLock { registry -> (@Sendable () -> Void)? in
            registry.connections[connection.number] = nil
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
        for connection in connections { connection.tell { $0.closeIfIdle() } }
        let isDrained = self.registry.withLock { registry in
            guard registry.connections.isEmpty, registry.drained != nil else { return false }
            registry.drained = nil
            return true
        }
        if isDrained { drained() }
    }

    func cutConnections() {
        for connection in self.registry.withLock({ Array($0.connections.values) }) { connection.tell { $0.cut() } }
    }
}

/// What the connections of one event loop share.
struct ResponderLoop: Sendable {
    let deadlines: DeadlineList
    let writer = LibraryWriter()
}
