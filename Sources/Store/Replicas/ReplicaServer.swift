import Logging
import Memcached
import NIOCore
import Sessions

/// One memcached of a site as one event loop sees it, and whether it is complete: whether it has been walked in its
/// present life, so that its "absent" means that there is nothing. All on that event loop.
final class ReplicaServer {
    let address: MemcachedAddress
    private(set) var client: MemcachedServer! = nil
    private let eventLoop: any EventLoop
    private let marker: MemcachedKey
    /// The connection on which the marker was seen.
    private var completeConnection: ConnectionNumber?
    private var poll: Scheduled<Void>?

    /// Pause between two looks at the marker while it is missing: another gateway may be walking.
    private static let pollInterval: TimeAmount = .milliseconds(250)

    init(
        _ server: StoreConfiguration.Server,
        marker: MemcachedKey,
        configuration: MemcachedConfiguration,
        eventLoop: any EventLoop,
        logger: Logger
    ) {
        self.address = server.address
        self.marker = marker
        self.eventLoop = eventLoop
        self.client = MemcachedServer(
            address: server.address,
            eventLoop: eventLoop,
            configuration: configuration,
            logger: logger,
            greeting: .get(marker, touch: nil),
            onConnected: { [weak self] connection, reply in self?.connected(connection, reply) },
            onDisconnected: { [weak self] _ in self?.disconnected() }
        )
    }

    func start() {
        self.client.start()
    }

    func close() -> EventLoopFuture<Void> {
        self.poll?.cancel()
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

    /// The marker was written, or seen, on this connection.
    func markedComplete(on connection: ConnectionNumber) {
        guard self.client.connection == connection else { return }
        self.completeConnection = connection
        self.poll?.cancel()
        self.poll = nil
    }

    private func connected(_ connection: ConnectionNumber, _ reply: MemcachedReply?) {
        if case .hit = reply {
            self.completeConnection = connection
        } else {
            self.completeConnection = nil
            self.schedulePoll(connection)
        }
    }

    private func disconnected() {
        self.completeConnection = nil
        self.poll?.cancel()
        self.poll = nil
    }

    private func schedulePoll(_ connection: ConnectionNumber) {
        self.poll = self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.pollInterval) { [weak self] in
            guard let self else { return }
            self.client.send(.get(self.marker, touch: nil), only: connection) { result, _ in
                if case .success(.hit) = result {
                    self.markedComplete(on: connection)
                } else if self.client.connection == connection {
                    self.schedulePoll(connection)
                }
            }
        }
    }
}
