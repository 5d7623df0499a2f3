import Sessions

/// A command on its way to one server, and its answers on their way back.
final class Message {
    enum Request {
        case replica(ReplicaCommand)
        /// What a gateway asks on each new connection, and again while it is missing.
        case marker
        case addMarker(PoolState<SimulatedRing>)
        /// By compare-and-set.
        case replaceMarker(PoolState<SimulatedRing>, token: UInt64)
        case addLease
        case listKeys
    }

    enum Answer {
        case replica(ReplicaAnswer)
        case marker(isThere: Bool, state: PoolState<SimulatedRing>?, token: UInt64)
        /// Of the marker and the lease: whether it was added now.
        case added(Bool)
        case keys([Int])
    }

    enum Waiter {
        case operation(RunningOperation, ReplicaCall, position: Int)
        case greeting(attempt: Int)
        case poll
        case walk(WalkRun)
        case move(MoveRun)
        /// A look at the marker; when it was sent.
        case check(EventQueue.Time)
        case markerReplacement(PoolState<SimulatedRing>, EventQueue.Time)
        /// Of an answer that nobody waits for.
        case nobody
    }

    let request: Request
    let waiter: Waiter
    /// The number of the session; -1 for what is of none.
    let session: Int
    let gateway: Int
    let gatewayLife: Int
    let server: Int
    let connection: UInt64
    /// Of the server when the connection was made: to a later life it does not get through.
    let serverLife: Int
    /// Answered or given up.
    var isOver = false
    var first: Answer?
    var second: Answer?

    init(
        _ request: Request,
        for waiter: Waiter,
        session: Int = -1,
        gateway: Int,
        gatewayLife: Int,
        server: Int,
        connection: UInt64,
        serverLife: Int
    ) {
        self.request = request
        self.waiter = waiter
        self.session = session
        self.gateway = gateway
        self.gatewayLife = gatewayLife
        self.server = server
        self.connection = connection
        self.serverLife = serverLife
    }
}

extension ReplicaCommand {
    /// The connection that it must not leave.
    var connection: ConnectionIdentity? {
        switch self {
        case .write(_, .compareAndSet(let token), _): token.connection
        case .write(_, .add(let connection), _): connection
        case .read: nil
        }
    }
}
