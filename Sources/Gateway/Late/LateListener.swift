import Configuration
import Glibc
import Logging
import NIOCore
import NIOPosix
import Sessions

/// The unix socket for late answers (`SESSION_LATE`): a backend that has already sent its response's head writes the
/// contract's lines here and ends its side of the connection; it is told `Session-Outcome: <outcome>` when the session
/// is saved, and may then end its response. One connection is one answer.
///
/// Bounded: `maximumConnections` at once (more are closed at once), a length per connection, `idleTimeout` between two
/// pieces. Only the socket's owner and group may connect.
final class LateListener: Sendable {
    static let maximumConnections = 256
    static let idleTimeout: TimeAmount = .seconds(10)
    /// Base64 of the largest blob that a site may allow, with room for the lines around its parts.
    static let maximumLength = 2 << 20

    let path: String
    private let channel: any Channel

    private init(path: String, channel: any Channel) {
        self.path = path
        self.channel = channel
    }

    /// Binds the socket under another name and renames it, so that it is never reachable with other permissions. What a
    /// dead process has left at the path is replaced.
    /// - Throws: `GatewayError`, also where another process listens there.
    static func bind(
        path: String,
        group: String?,
        eventLoopGroup: any EventLoopGroup,
        workers: [Worker],
        logger: Logger
    ) async throws -> LateListener {
        let temporary = "\(path).\(getpid())"
        guard path.utf8.count <= GatewayConfiguration.maximumLateSocketPathLength else {
            let limit = GatewayConfiguration.maximumLateSocketPathLength
            throw GatewayError("late_socket: the path \(path) is longer than \(limit) bytes; take another one")
        }
        if let other = try? await ClientBootstrap(group: eventLoopGroup).connect(unixDomainSocketPath: path).get() {
            try? await other.close()
            throw GatewayError("late_socket: another program listens at \(path); stop it or take another path")
        }
        let count = ConnectionCount()
        let channel: any Channel
        do {
            channel = try await ServerBootstrap(group: eventLoopGroup)
                .serverChannelOption(.backlog, value: 128)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard count.opened() else { throw ChannelError.operationUnsupported }
                        channel.closeFuture.whenComplete { _ in count.closed() }
                        try channel.pipeline.syncOperations.addHandlers([
                            IdleStateHandler(readTimeout: Self.idleTimeout),
                            LateConnectionHandler(workers: workers, logger: logger),
                        ])
                    }
                }
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .bind(unixDomainSocketPath: temporary, cleanupExistingSocketFile: true)
                .get()
        } catch {
            throw GatewayError(
                "late_socket: cannot listen at \(path): \(error); name a folder that the gateway may write to"
            )
        }
        do {
            try Self.setPermissions(temporary, group: group)
            guard rename(temporary, path) == 0 else {
                throw GatewayError("late_socket: cannot put the socket at \(path): \(String(cString: strerror(errno)))")
            }
        } catch {
            try? await channel.close()
            unlink(temporary)
            throw error
        }
        return LateListener(path: path, channel: channel)
    }

    private static func setPermissions(_ path: String, group: String?) throws(GatewayError) {
        if let group {
            let id = gid_t(group) ?? getgrnam(group)?.pointee.gr_gid
            guard let id else { throw GatewayError("late_group: there is no group \(group)") }
            guard chown(path, uid_t.max, id) == 0 else {
                throw GatewayError(
                    "late_group: cannot give the socket to group \(group): \(String(cString: strerror(errno)))"
                )
            }
        }
        guard chmod(path, 0o660) == 0 else {
            throw GatewayError("late_socket: cannot set the mode of \(path): \(String(cString: strerror(errno)))")
        }
    }

    func close() async {
        unlink(self.path)
        try? await self.channel.close()
    }
}

/// How many late connections are open, over all event loops.
private final class ConnectionCount: Sendable {
    private let open = ManagedCounter()

    func opened() -> Bool { self.open.increment(upTo: LateListener.maximumConnections) }
    func closed() { self.open.decrement() }
}
