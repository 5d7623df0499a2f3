import Glibc
import NIOCore

extension Channel {
    /// Whether the peer of a unix socket has not read all that was sent to it: some of that still lies in its queue
    /// (SO_MEMINFO, linux/sock_diag.h), or did when it closed, which the kernel reports as an error (SO_ERROR). False where
    /// nobody knows. On the channel's event loop.
    var hasUnreadOutput: Bool {
        guard let options = self as? any SocketOptionProvider else { return false }
        var error: CInt = 0
        options.unsafeGetSocketOption(level: .socket, name: .so_error).assumeIsolated().whenSuccess { error = $0 }
        var memory = SocketMemory()
        options.unsafeGetSocketOption(level: .socket, name: .init(rawValue: SO_MEMINFO)).assumeIsolated().whenSuccess {
            memory = $0
        }
        return error == ECONNRESET || memory.sent > 0
    }
}

/// SO_MEMINFO's nine numbers, in bytes; the third (SK_MEMINFO_WMEM_ALLOC) is what was sent and not read.
private struct SocketMemory: Sendable {
    private var before: (UInt32, UInt32) = (0, 0)
    private(set) var sent: UInt32 = 0
    private var behind: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0, 0)
}
