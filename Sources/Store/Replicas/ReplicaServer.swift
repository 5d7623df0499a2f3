import Logging
import Memcached
import NIOCore
import Sessions

/// One memcached of a site as one event loop sees it, and whether it is complete: whether it has been walked in its
/// present life, so that its "absent" means that there is nothing. All on that event loop.
final class ReplicaServer {
    /// What a look at the marker found.
    struct Marker {
        var text: ByteBuffer
        var token: UInt64
        var state: PoolState<RingDescription>?
    }

    let address: MemcachedAddress
    /// In rings.
    let name: String
    private(set) var client: MemcachedServer! = nil
    private let eventLoop: any EventLoop
    private let marker: MemcachedKey
    private let seal: StateSeal
    /// A marker that cannot be read: once it may have been changed on its way, twice it stands there like this.
    private var unreadable: ByteBuffer?
    /// Told of each look at the marker: what it says, and a moment before it was asked; and of the end of a connection.
    /// Both until it is closed.
    private var onLook: ((ReplicaServer, PoolState<RingDescription>?, NIODeadline) -> Void)?
    private var onLost: ((ReplicaServer) -> Void)?
    /// The connection on which the marker was seen.
    private var completeConnection: ConnectionNumber?
    private(set) var lastMarker: Marker?
    private var poll: Scheduled<Void>?
    private var isLooking = false
    private(set) var isClosed = false
    /// Operations that began before count its answers.
    var freshUntil: Int64 = .min

    /// Pause between two looks at the marker while it is missing: another gateway may be walking.
    private static let pollInterval: TimeAmount = .milliseconds(250)

    init(
        _ server: StoreConfiguration.Server,
        marker: MemcachedKey,
        seal: StateSeal,
        configuration: MemcachedConfiguration,
        eventLoop: any EventLoop,
        logger: Logger,
        transitions: ServerTransitionLog,
        onLook: @escaping (ReplicaServer, PoolState<RingDescription>?, NIODeadline) -> Void,
        onLost: @escaping (ReplicaServer) -> Void
    ) {
        self.address = server.address
        self.name = server.ringServer.address
        self.marker = marker
        self.seal = seal
        self.eventLoop = eventLoop
        self.onLook = onLook
        self.onLost = onLost
        self.client = MemcachedServer(
            address: server.address,
            eventLoop: eventLoop,
            configuration: configuration,
            logger: logger,
            transitions: transitions,
            greeting: .get(marker, touch: nil),
            onConnected: { self.connected($0, $1) },
            onDisconnected: { _ in self.disconnected() }
        )
    }

    func start() {
        self.client.start()
    }

    func close() -> EventLoopFuture<Void> {
        self.isClosed = true
        self.poll?.cancel()
        self.onLook = nil
        self.onLost = nil
        return self.client.close()
    }

    var isAvailable: Bool { self.client.isAvailable }

    /// The connection whose life of the server is known to be incomplete; nil where it is complete or not connected.
    var incompleteConnection: ConnectionNumber? {
        guard self.client.isAvailable, let connection = self.client.connection,
            connection != self.completeConnection
        else { return nil }
        return connection
    }

    func isComplete(on connection: ConnectionNumber) -> Bool {
        self.completeConnection == connection
    }

    /// The marker was written on this connection.
    func markedComplete(on connection: ConnectionNumber) {
        guard self.client.connection == connection else { return }
        self.completeConnection = connection
        self.poll?.cancel()
        self.poll = nil
        self.look()
    }

    // MARK: The marker

    /// Asks for the marker, unless it has been asked for.
    func look() {
        guard !self.isLooking, let connection = self.client.connection else { return }
        self.isLooking = true
        let asked = NIODeadline.now()
        self.client.send(.get(self.marker, touch: nil), only: connection) { result, _ in
            self.isLooking = false
            guard case .success(let reply) = result, self.client.connection == connection else { return }
            self.note(reply, on: connection, asked: asked)
        }
    }

    private func connected(_ connection: ConnectionNumber, _ reply: MemcachedReply?) {
        self.isLooking = false
        // When the greeting was sent is not known: what it says counts, for no time.
        self.note(reply ?? .miss, on: connection, asked: .uptimeNanoseconds(0))
        self.look()
    }

    private func note(_ reply: MemcachedReply, on connection: ConnectionNumber, asked: NIODeadline) {
        guard case .hit(let text, let token, _) = reply else {
            // Never written in this life, or evicted: what the server knows is not known any more.
            self.completeConnection = nil
            self.lastMarker = nil
            if self.poll == nil { self.schedulePoll(connection) }
            self.onLook?(self, nil, asked)
            return
        }
        let state = self.lastMarker?.text == text ? self.lastMarker?.state : self.seal.opened(String(buffer: text))
        if state == nil, self.lastMarker?.text != text, self.unreadable != text {
            self.unreadable = text.detached
            if self.poll == nil { self.schedulePoll(connection) }
            return
        }
        self.unreadable = nil
        self.completeConnection = connection
        self.poll?.cancel()
        self.poll = nil
        let known = self.lastMarker.flatMap { $0.text == text ? $0.text : nil }
        self.lastMarker = Marker(text: known ?? text.detached, token: token, state: state)
        self.onLook?(self, state, asked)
    }

    private func disconnected() {
        self.completeConnection = nil
        self.lastMarker = nil
        self.unreadable = nil
        self.poll?.cancel()
        self.poll = nil
        self.onLost?(self)
    }

    private func schedulePoll(_ connection: ConnectionNumber) {
        self.poll = self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.pollInterval) {
            self.poll = nil
            guard self.client.connection == connection, self.completeConnection != connection else { return }
            self.look()
            if self.poll == nil { self.schedulePoll(connection) }
        }
    }
}
