import Foundation

/// A blocking connection of a test that wants to decide about every byte. Used by one thread at a time, but for
/// `shutDown`, which makes what that thread waits for fail.
// @unchecked: one thread at a time.
package final class ClientSocket: @unchecked Sendable {
    private let descriptor: Int32
    private var isOpen = true

    /// Takes over a descriptor that is connected.
    init(connected descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// - Parameter timeout: how long one `send` or `receive` may wait.
    package init(_ address: SocketAddress, timeout: Duration = .seconds(60)) throws {
        self.descriptor = try address.connect()
        var limit = timeval(tv_sec: Int(timeout.components.seconds), tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(self.descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var on: Int32 = 1
        setsockopt(self.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { self.close() }

    package func send(_ text: String) throws { try self.send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw TestingError("send: \(errno)") }
            sent += count
        }
    }

    /// - Returns: what is there, at most `count` bytes; empty at the end.
    /// - Throws: also where the peer reset the connection.
    package func receive(_ count: Int = 65_536) throws -> [UInt8] {
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var received = recv(self.descriptor, buffer.baseAddress, count, 0)
            while received < 0, errno == EINTR { received = recv(self.descriptor, buffer.baseAddress, count, 0) }
            code = received < 0 ? errno : 0
            filled = max(received, 0)
        }
        if code != 0 { throw TestingError("receive: \(code)") }
        return bytes
    }

    package func receiveToEnd() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try self.receive()
            if piece.isEmpty { return all }
            all += piece
        }
    }

    /// Says that nothing more is sent.
    package func finishSending() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// From any thread, while somebody holds on to it.
    func shutDown() { shutdown(self.descriptor, Int32(SHUT_RDWR)) }

    package func close() {
        guard self.isOpen else { return }
        self.isOpen = false
        Glibc.close(self.descriptor)
    }

    /// Closes with a reset, as a client does that vanishes.
    package func reset() {
        guard self.isOpen else { return }
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        self.close()
    }
}
