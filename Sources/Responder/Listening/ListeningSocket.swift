import CLinux
import Glibc
import Synchronization

/// A listener with its descriptor, which it owns, and the socket file that it has made (L13–L15).
final class ListeningSocket: Sendable {
    typealias Listener = ResponderConfiguration.Listener

    enum Accepted {
        case connection(Int32)
        case notAllowed
        case empty
        /// The process or the system has no descriptor left for it.
        case noDescriptors
        case closed
    }

    /// The port in use, also where the configuration asks for any (0); nil for a unix socket.
    private let port: Int?
    private let file: SocketFile?
    /// The lock keeps the descriptor from being closed while it is used.
    private let state: Mutex<State>

    private struct State {
        var listener: Listener
        var filter: ClientFilter
        var descriptor: Int32
        var token: UInt64 = 0
    }

    var listener: Listener { self.state.withLock { $0.listener } }

    /// The listener with the port in use.
    var resolvedListener: Listener {
        var listener = self.listener
        if case .tcp(let host, _) = listener.address, let port { listener.address = .tcp(host: host, port: port) }
        return listener
    }

    /// Opens the listener; it accepts nobody before it is registered, but the system queues connections.
    init(_ listener: Listener) throws(ResponderError) {
        let filter = try ClientFilter(listener.allowedClients)
        let descriptor: Int32
        switch listener.address {
        case .unix(let path):
            (descriptor, self.file) = try SocketFile.listen(path, listener)
            self.port = nil
        case .tcp(let host, let port):
            (descriptor, self.port) = try Self.listen(host, port, listener, filter)
            self.file = nil
        }
        self.state = Mutex(State(listener: listener, filter: filter, descriptor: descriptor))
    }

    deinit {
        self.close()
    }

    /// Closes the socket and removes its file, unless that is somebody else's by now. Idempotent.
    func close() {
        self.state.withLock { state in
            guard state.descriptor >= 0 else { return }
            // First, so that nobody finds a file that nobody listens at.
            self.file?.remove()
            _ = Glibc.close(state.descriptor)
            state.descriptor = -1
        }
    }

    /// Takes over a listener of the same address with another mode, group, list of clients or backlog.
    /// - Throws: as `init`; nothing has changed then.
    func reconfigure(_ listener: Listener) throws(ResponderError) {
        let filter = try ClientFilter(listener.allowedClients)
        let failure: ResponderError? = self.state.withLock { state in
            do throws(ResponderError) {
                if let file {
                    try file.grant(listener)
                } else {
                    try Self.checkReach(state.descriptor, listener, filter)
                }
            } catch {
                return error
            }
            _ = Glibc.listen(state.descriptor, Int32(clamping: listener.backlog))
            state.listener = listener
            state.filter = filter
            return nil
        }
        if let failure { throw failure }
    }

    func register(in epoll: Int32, token: UInt64) {
        self.state.withLock { state in
            guard state.descriptor >= 0 else { return }
            state.token = token
            _ = clinux_epoll_add(epoll, state.descriptor, CLINUX_EPOLL_IN | CLINUX_EPOLL_ONE_SHOT, token)
        }
    }

    /// Has the next connection reported, to one thread.
    func rearm(in epoll: Int32) {
        self.state.withLock { state in
            guard state.descriptor >= 0 else { return }
            _ = clinux_epoll_modify(epoll, state.descriptor, CLINUX_EPOLL_IN | CLINUX_EPOLL_ONE_SHOT, state.token)
        }
    }

    func accept() -> Accepted {
        self.state.withLock { state in
            guard state.descriptor >= 0 else { return .closed }
            while true {
                var address = sockaddr_storage()
                var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let descriptor = clinux_accept(state.descriptor, &address, &length)
                guard descriptor >= 0 else {
                    switch errno {
                    case EAGAIN: return .empty
                    // The peer has gone already, or its network has (accept(2), "Error handling"): the next one.
                    case EINTR, ECONNABORTED, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
                        EOPNOTSUPP, ENETUNREACH:
                        continue
                    // EMFILE, ENFILE, ENOBUFS, ENOMEM; and whatever else would only come again at once.
                    default: return .noDescriptors
                    }
                }
                guard self.file == nil else { return .connection(descriptor) }
                guard state.filter.allows(ClientFilter.bytes(address)) else {
                    _ = Glibc.close(descriptor)
                    return .notAllowed
                }
                Self.prepare(descriptor)
                return .connection(descriptor)
            }
        }
    }

    /// Answers leave at once, and a peer whose machine has vanished does not keep its connection for ever.
    private static func prepare(_ descriptor: Int32) {
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, size)
    }

    private static func listen(
        _ host: String,
        _ port: Int,
        _ listener: Listener,
        _ filter: ClientFilter
    ) throws(ResponderError) -> (Int32, Int) {
        let name = listener.address.description
        guard (0...65_535).contains(port) else {
            throw ResponderError(.invalidListener, "\(name): a port is a number from 0 to 65535")
        }
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let isAny = host.isEmpty || host == "*"
        // "any" is IPv4 unless written as ::, as in nginx and php-fpm.
        let result = getaddrinfo(isAny ? "0.0.0.0" : host, String(port), &hints, &found)
        guard result == 0, let first = found else {
            throw ResponderError(.invalidListener, "\(name): no such address: \(String(cString: gai_strerror(result)))")
        }
        defer { freeaddrinfo(found) }

        let descriptor = clinux_stream_socket(first.pointee.ai_family)
        guard descriptor >= 0 else {
            throw ResponderError(.system, "\(name): no socket: \(SystemError.text(errno))")
        }
        var on: Int32 = 1
        _ = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        // Checked before anybody can connect.
        guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0 else {
            let reason = errno
            _ = Glibc.close(descriptor)
            throw reason == EADDRINUSE
                ? Self.inUse(name) : ResponderError(.system, "\(name): cannot listen: \(SystemError.text(reason))")
        }
        do throws(ResponderError) {
            try Self.checkReach(descriptor, listener, filter)
            guard Glibc.listen(descriptor, Int32(clamping: listener.backlog)) == 0 else {
                let reason = errno
                throw reason == EADDRINUSE
                    ? Self.inUse(name) : ResponderError(.system, "\(name): cannot listen: \(SystemError.text(reason))")
            }
        } catch {
            _ = Glibc.close(descriptor)
            throw error
        }
        // The port is at the same place in both families.
        let actual = withUnsafeBytes(of: Self.localAddress(descriptor)) { Int($0[2]) << 8 | Int($0[3]) }
        return (descriptor, actual)
    }

    private static func inUse(_ name: String) -> ResponderError {
        ResponderError(.addressInUse, "\(name): another program listens there; stop it or take another port")
    }

    /// Others than this machine may be let in only by name.
    private static func checkReach(
        _ descriptor: Int32,
        _ listener: Listener,
        _ filter: ClientFilter
    ) throws(ResponderError) {
        guard filter.isEmpty, !ClientFilter.isLoopback(ClientFilter.bytes(Self.localAddress(descriptor))) else {
            return
        }
        throw ResponderError(
            .invalidListener,
            "\(listener.address.description): others than this machine could connect and run any script; name the "
                + "web servers in allowed_clients, or listen at 127.0.0.1 or a unix socket"
        )
    }

    private static func localAddress(_ descriptor: Int32) -> sockaddr_storage {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(descriptor, $0, &length) }
        }
        return address
    }
}
