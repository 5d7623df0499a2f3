import Glibc
import Synchronization

/// Free ports of 127.0.0.1. No port is given out twice in a process, and none lies where the system takes the ports of
/// outgoing connections from, so that a server can be started, stopped and started again on it.
package enum LoopbackPort {
    private static let range: ClosedRange<UInt16> = 12_000...31_999
    private static let next = Mutex(UInt16.random(in: Self.range))

    package static func unused() throws -> Int {
        for _ in Self.range {
            let port = Self.next.withLock { next in
                next = next == Self.range.upperBound ? Self.range.lowerBound : next + 1
                return next
            }
            if Self.isFree(port) { return Int(port) }
        }
        throw TestingError("no free port on 127.0.0.1")
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        } == 0
    }
}
