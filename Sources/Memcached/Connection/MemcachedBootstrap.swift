import Glibc
import NIOCore
import NIOPosix

/// Opens connections to memcached with the socket options that all of them have.
enum MemcachedBootstrap {
    /// How long the kernel may keep trying to deliver bytes (tcp(7), TCP_USER_TIMEOUT): a write must not arrive long after its
    /// connection was given up.
    private static let userTimeoutMilliseconds: ChannelOptions.Types.SocketOption.Value = 1_000

    /// The channel has no handlers yet: for a host name with several addresses several channels may be tried, so whoever
    /// gets the one that is connected adds its own, in the callback itself, before anything is read.
    ///
    /// - Returns: fails after `timeout` at the latest; a host name is looked up on another thread.
    static func connect(
        to address: MemcachedAddress,
        on eventLoop: any EventLoop,
        timeout: Duration
    ) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
                Self.discardUnsentBytesOnClose(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
        switch address {
        case .unix(let path):
            return bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port):
            let tcp =
                bootstrap
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(
                    .tcpOption(.init(rawValue: CInt(TCP_USER_TIMEOUT))),
                    value: Self.userTimeoutMilliseconds
                )
            if let literal = try? SocketAddress(ipAddress: host, port: port) {
                return tcp.connect(to: literal)
            }
            return tcp.connect(host: host, port: port)
        }
    }

    /// A connection is closed only when nobody waits for its answers: what is still in our send buffer then must not be
    /// executed later, so close(2) resets instead of lingering (socket(7), SO_LINGER).
    private static func discardUnsentBytesOnClose(_ channel: any Channel) {
        guard let options = channel as? any SocketOptionProvider else { return }
        _ = options.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    }
}
