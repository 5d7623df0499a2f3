package import Glibc
package import Logging
package import NIOCore
package import Sessions

/// Sessions of PHP's `files` handler, one file each.
package final class FilesSource: SessionSource {
    package struct Configuration: Sendable {
        package var directory: SessionDirectory
        /// Whose files are sessions, beside root's, as PHP takes only its own.
        package var owner: uid_t
        /// How long a file that nobody writes is a session (PHP's `session.gc_maxlifetime`).
        package var lifetime: Duration
        package var maximumSize: Int
        package var timeout: Duration

        package init(
            directory: SessionDirectory,
            owner: uid_t,
            lifetime: Duration,
            maximumSize: Int,
            timeout: Duration
        ) {
            self.directory = directory
            self.owner = owner
            self.lifetime = lifetime
            self.maximumSize = maximumSize
            self.timeout = timeout
        }
    }

    /// Linux's, which `import Glibc` does not show.
    private static let noAccessTime: Int32 = 0o1_000_000

    private let configuration: Configuration
    private let looks: BlockingLooks

    package init(_ configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.looks = BlockingLooks(threads: 4, timeout: configuration.timeout, logger: logger)
    }

    package func look(for id: SessionID, on eventLoop: any EventLoop) async -> SourceFinding {
        let configuration = self.configuration
        guard let path = configuration.directory.file(of: id) else { return .none }
        return await self.looks.look(on: eventLoop) { Self.look(at: path, configuration) }
    }

    private static func look(at path: String, _ configuration: Configuration) -> SourceFinding {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        // Without a trace in the file's time of access, where its owner or root reads it.
        var descriptor = open(path, flags | Self.noAccessTime)
        if descriptor < 0, errno == EPERM { descriptor = open(path, flags) }
        guard descriptor >= 0 else { return self.finding(errno: errno, path, configuration) }
        // Which ends the lock too.
        defer { Glibc.close(descriptor) }
        // PHP holds its lock for as long as the request has the session.
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
            return errno == EWOULDBLOCK ? .locked : .unavailable("a session's file cannot be locked")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return .unavailable("a session's file cannot be looked at") }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == configuration.owner || status.st_uid == 0 else {
            return .unreadable("its file belongs to another user, or is none")
        }
        guard time(nil) - status.st_mtim.tv_sec <= Int(configuration.lifetime.components.seconds) else { return .none }
        guard status.st_size <= configuration.maximumSize else { return StoredValue.tooLarge }
        guard let data = self.read(descriptor, count: Int(status.st_size)) else {
            return .unavailable("a session's file cannot be read")
        }
        return StoredValue.session(data, limit: configuration.maximumSize)
    }

    static func finding(errno code: Int32, _ path: String, _ configuration: Configuration) -> SourceFinding {
        switch code {
        case ENOENT:
            // A directory that is gone, or not mounted, says nothing about its files.
            access(configuration.directory.path, X_OK) == 0
                ? .none : .unavailable("the sessions' directory is not there")
        case ELOOP:
            .unreadable("its file belongs to another user, or is none")
        case EACCES, EPERM:
            self.mayReadOthers(than: path, configuration)
                ? .unreadable("its file belongs to another user, or is none")
                : .unavailable("the gateway may not read the sessions' files")
        default:
            .unavailable("a session's file cannot be opened")
        }
    }

    /// Whether a file that cannot be opened is one of its own kind: anybody may put one into a directory that is everybody's,
    /// which must not keep the gateway from the others. Where it is the application's and the gateway is another user, the
    /// others are no better; and of a directory that cannot be entered nobody can tell.
    private static func mayReadOthers(than path: String, _ configuration: Configuration) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        return status.st_uid != configuration.owner || status.st_uid == geteuid()
    }

    private static func read(_ descriptor: Int32, count: Int) -> ByteBuffer? {
        var data = ByteBuffer()
        data.reserveCapacity(count)
        while data.readableBytes < count {
            var failed = false
            let missing = count - data.readableBytes
            data.writeWithUnsafeMutableBytes(minimumWritableBytes: missing) { bytes in
                let length = Glibc.read(descriptor, bytes.baseAddress, missing)
                failed = length <= 0 && !(length < 0 && errno == EINTR)
                return max(length, 0)
            }
            if failed { return nil }
        }
        return data
    }
}
