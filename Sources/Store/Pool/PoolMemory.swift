import Glibc
package import Memcached
package import Sessions
import Synchronization

/// Remembers a pool's state in a file, so that a gateway whose configuration names other servers than before finds the
/// sessions where they are, after a restart as well.
package struct PoolMemory: Sendable {
    /// In `state_directory`.
    package let path: String
    /// A session lives no longer than this after it was written.
    private let longestLife: Duration

    package init(path: String, longestLife: Duration) {
        self.path = path
        self.longestLife = longestLife
    }

    /// What is known where the file cannot be written.
    private static let known = Mutex<[String: PoolState<RingDescription>]>([:])

    /// As a new process.
    static func forgetAll() { Self.known.withLock { $0 = [:] } }

    private static let maximumLength = 4 << 20

    /// - Returns: nil where nothing is remembered, or what is is older than any session.
    package func recall() -> PoolState<RingDescription>? {
        if let known = Self.known.withLock({ $0[self.path] }) { return known }
        guard let text = Self.read(self.path) else { return nil }
        let lines = text.split(separator: "\n", maxSplits: 1)
        guard lines.count == 2, lines[0].hasPrefix("written "),
            let written = UInt64(lines[0].dropFirst("written ".count)),
            StoreClock.now / 1_000 < written + self.longestLife.wholeMilliseconds / 1_000
        else { return nil }
        return PoolState(text: lines[1])
    }

    /// Blocks for as long as a small file takes.
    ///
    /// - Returns: a text for the operator where it could not be written; nil where it was.
    package func remember(_ state: PoolState<RingDescription>) -> String? {
        Self.known.withLock { $0[self.path] = state }
        return Self.write("written \(StoreClock.now / 1_000)\n\(state.text)", to: self.path)
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < Self.maximumLength {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes += buffer[..<count]
        }
        return nil
    }

    /// As a whole or not at all.
    private static func write(_ text: String, to path: String) -> String? {
        if let slash = path.lastIndex(of: "/") { mkdir(String(path[..<slash]), 0o700) }
        let draft = "\(path).\(getpid())"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        let bytes = Array(text.utf8)
        let count = Glibc.write(descriptor, bytes, bytes.count)
        let isSynced = fsync(descriptor) == 0
        close(descriptor)
        guard count == bytes.count, isSynced, rename(draft, path) == 0 else {
            let problem = String(cString: strerror(errno))
            unlink(draft)
            return problem
        }
        return nil
    }
}

extension StoreConfiguration {
    /// What a gateway works by until a server says something.
    var assumedState: PoolState<RingDescription> {
        if let known = self.memory?.recall() { return known }
        return PoolState(epoch: 0, stage: .stable(self.previousRing ?? self.ringDescription))
    }
}

extension MemcachedAddress {
    /// Where a server of a ring listens.
    package init?(_ server: RingServer) {
        self.init(parsing: server.port == 0 ? server.host : "\(server.host):\(server.port)")
    }
}
