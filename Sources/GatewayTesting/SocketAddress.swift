import Glibc

/// Where a test connects to.
package enum SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// A port of 127.0.0.1.
    case port(Int)
    /// A port of an IPv4 address in numbers.
    case host(String, port: Int)
    case unix(String)

    package var description: String {
        switch self {
        case .port(let port): "127.0.0.1:\(port)"
        case .host(let host, let port): "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    package var acceptsConnections: Bool {
        guard let descriptor = try? self.connect() else { return false }
        close(descriptor)
        return true
    }

    /// - Returns: a blocking, connected descriptor.
    func connect() throws -> Int32 {
        let family = if case .unix = self { AF_UNIX } else { AF_INET }
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw TestingError("socket: \(errno)") }
        let result: Int32
        switch self {
        case .port(let port):
            result = Self.connect(descriptor, "127.0.0.1", port)
        case .host(let host, let port):
            result = Self.connect(descriptor, host, port)
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
                close(descriptor)
                throw TestingError("too long for a socket: \(path)")
            }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw TestingError("cannot connect to \(self): \(code)")
        }
        return descriptor
    }

    private static func connect(_ descriptor: Int32, _ host: String, _ port: Int) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr(host)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
