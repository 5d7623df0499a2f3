import Glibc
import NIOCore
import NIOPosix

/// Opens one connection to an upstream.
struct FastCGIConnector: Sendable {
    let upstream: FastCGIUpstream
    let timeout: TimeAmount
    let eventLoop: any EventLoop
    /// Of host names; the system's where it is nil.
    var resolver: (any Resolver & Sendable)?

    /// Where the listener's backlog of a unix socket is full, connecting fails at once; it is tried again for as long
    /// as connecting may take.
    private static let pause = TimeAmount.milliseconds(10)

    func connect(_ connection: FastCGIConnection) -> EventLoopFuture<Void> {
        let promise = self.eventLoop.makePromise(of: Void.self)
        self.attempt(connection, deadline: .now() + self.timeout, promise)
        return promise.futureResult
    }

    private func attempt(_ connection: FastCGIConnection, deadline: NIODeadline, _ promise: EventLoopPromise<Void>) {
        self.connectOnce(connection).whenComplete { result in
            switch result {
            case .success:
                promise.succeed(())
            case .failure(let error as IOError)
            where error.errnoCode == EAGAIN && NIODeadline.now() + Self.pause < deadline:
                self.eventLoop.scheduleTask(in: Self.pause) {
                    self.attempt(connection, deadline: deadline, promise)
                }
            case .failure(let error):
                promise.fail(error)
            }
        }
    }

    /// For a host name with several addresses several channels may be tried: the connection gets the one that is connected, in
    /// the callback itself, before anything is read.
    private func connectOnce(_ connection: FastCGIConnection) -> EventLoopFuture<Void> {
        self.channel().flatMapThrowing { channel in
            guard channel.isActive else { throw ChannelError.ioOnClosedChannel }
            try channel.pipeline.syncOperations.addHandler(connection)
        }
    }

    private func channel() -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: self.eventLoop)
            .connectTimeout(self.timeout)
            // What the application has read is looked at before the channel is closed.
            .channelOption(.allowRemoteHalfClosure, value: true)
            .resolver(self.resolver)
        return switch self.upstream {
        case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
        }
    }
}
