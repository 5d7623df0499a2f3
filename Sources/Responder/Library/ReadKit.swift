import Synchronization

/// What a thread needs to read from a connection: a receive buffer and the pipe to libfcgi.
///
/// `@unchecked Sendable`: it belongs to one thread at a time, either a responder thread for life or whoever has
/// taken it out of the pool.
final class ReadKit: @unchecked Sendable {
    static let bufferSize = 64 * 1024

    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ReadKit.bufferSize, alignment: 16)
    let pipe = FeedPipe()

    deinit {
        self.buffer.deallocate()
    }
}

/// Kits for the threads that are not the responder's own. Holds as many as were ever needed at the same moment, which
/// is at most the number of threads that call in.
final class ReadKitPool: Sendable {
    private let kits = Mutex<[ReadKit]>([])

    func with<Result>(_ body: (ReadKit) -> Result) -> Result {
        let kit = self.kits.withLock { $0.popLast() } ?? ReadKit()
        defer { self.kits.withLock { $0.append(kit) } }
        return body(kit)
    }
}
