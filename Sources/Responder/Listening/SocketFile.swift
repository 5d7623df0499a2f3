import CLinux
import Glibc

/// The file of a unix socket that we listen at (L15).
struct SocketFile: Sendable {
    let path: String
    // Which file it is: another one at the same path is not ours to remove.
    private let device: UInt64
    private let inode: UInt64

    /// Removes the file if it is still the one that was made.
    func remove() {
        var status = stat()
        guard lstat(self.path, &status) == 0, UInt64(status.st_dev) == self.device,
            UInt64(status.st_ino) == self.inode
        else { return }
        _ = unlink(self.path)
    }

    /// Sets the file's group and mode.
    func grant(_ listener: ResponderConfiguration.Listener) throws(ResponderError) {
        let name = listener.address.description
        if let group = try Self.groupNumber(listener.group, name), lchown(self.path, uid_t.max, group) != 0 {
            throw ResponderError(
                .system,
                "\(name): cannot give the socket to group \(listener.group ?? ""): \(SystemError.text(errno)); "
                    + "run as a member of that group, or as root"
            )
        }
        guard chmod(self.path, listener.mode) == 0 else {
            throw ResponderError(.system, "\(name): cannot set the socket's mode: \(SystemError.text(errno))")
        }
    }

    /// Makes the socket and its file. Nobody can connect before mode and group are set, because it listens last.
    ///
    /// A file that a dead process has left is replaced; a socket that somebody listens at, and anything that is not
    /// a socket, is left alone.
    static func listen(
        _ path: String,
        _ listener: ResponderConfiguration.Listener
    ) throws(ResponderError) -> (Int32, SocketFile?) {
        let name = listener.address.description
        guard !path.isEmpty, path.utf8.count < Self.pathCapacity, !path.utf8.contains(0) else {
            throw ResponderError(
                .invalidListener,
                "\(name): a socket's path has 1 to \(Self.pathCapacity - 1) bytes; take a shorter one"
            )
        }
        try Self.clear(path, name)

        let descriptor = clinux_stream_socket(AF_UNIX)
        guard descriptor >= 0 else {
            throw ResponderError(.system, "\(name): no socket: \(SystemError.text(errno))")
        }
        guard Self.withAddress(path, { bind(descriptor, $0, $1) }) == 0 else {
            let reason = errno
            _ = close(descriptor)
            if reason == EADDRINUSE { throw Self.inUse(name) }
            throw ResponderError(
                .system,
                "\(name): cannot make the socket file: \(SystemError.text(reason)); its folder must exist and be writable"
            )
        }
        var status = stat()
        _ = lstat(path, &status)
        let file = SocketFile(path: path, device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        do throws(ResponderError) {
            try file.grant(listener)
            guard Glibc.listen(descriptor, Int32(clamping: listener.backlog)) == 0 else {
                throw ResponderError(.system, "\(name): cannot listen: \(SystemError.text(errno))")
            }
        } catch {
            file.remove()
            _ = close(descriptor)
            throw error
        }
        return (descriptor, file)
    }

    private static let pathCapacity = MemoryLayout.size(ofValue: sockaddr_un().sun_path)

    private static func inUse(_ name: String) -> ResponderError {
        ResponderError(.addressInUse, "\(name): another program listens there; stop it or take another path")
    }

    /// Removes what a dead process has left at the path.
    private static func clear(_ path: String, _ name: String) throws(ResponderError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw ResponderError(
                .invalidListener,
                "\(name): there is a file that is no socket; remove it or take another path"
            )
        }
        let probe = clinux_stream_socket(AF_UNIX)
        guard probe >= 0 else {
            throw ResponderError(.system, "\(name): no socket: \(SystemError.text(errno))")
        }
        defer { _ = close(probe) }
        guard Self.withAddress(path, { connect(probe, $0, $1) }) != 0 else { throw Self.inUse(name) }
        switch errno {
        case ECONNREFUSED:
            guard unlink(path) == 0 || errno == ENOENT else {
                throw ResponderError(
                    .system,
                    "\(name): cannot remove the socket file that a dead process has left: \(SystemError.text(errno))"
                )
            }
        case ENOENT:
            return
        case EACCES:
            throw ResponderError(
                .system,
                "\(name): there is a socket that this user may not connect to; it may be in use: remove it or run as its owner"
            )
        default:
            // EAGAIN: its queue is full, so somebody is there.
            throw Self.inUse(name)
        }
    }

    private static func groupNumber(_ group: String?, _ name: String) throws(ResponderError) -> gid_t? {
        guard let group else { return nil }
        if let number = gid_t(group) { return number }
        var entry = Glibc.group()
        var result: UnsafeMutablePointer<Glibc.group>?
        var buffer = [CChar](repeating: 0, count: 64 * 1024)
        guard getgrnam_r(group, &entry, &buffer, buffer.count, &result) == 0, result != nil else {
            throw ResponderError(.invalidListener, "\(name): there is no group \"\(group)\"")
        }
        return entry.gr_gid
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(Self.pathCapacity - 1)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
