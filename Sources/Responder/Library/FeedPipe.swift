import CLinux
import Glibc

/// The pipe through which libfcgi is given a request's bytes.
///
/// libfcgi reads where it wants to, as much as it can get, and cannot be stopped half way. So it never reads from a
/// peer's socket: the responder receives, the guard looks, and exactly the bytes that passed go into this pipe.
/// libfcgi empties it each time, and should it ever ask for more, it gets EAGAIN, which ends that request, instead of
/// holding a thread (L8–L10, L19).
final class FeedPipe {
    /// Room for the longest head and one receive buffer behind it.
    static let capacity = 256 * 1024

    private(set) var readEnd: Int32 = -1
    private var writeEnd: Int32 = -1

    init() {
        self.open()
    }

    deinit {
        self.close()
    }

    /// - Returns: whether all of it is in the pipe. False only when the system refused the pipe, or libfcgi left
    ///   something in it.
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if self.writeEnd < 0 { self.open() }
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(self.writeEnd, rest.baseAddress!, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }

    /// Throws away what is in the pipe after something went wrong.
    /// - Parameter readEndIsClosed: whether libfcgi has closed the read end, as it does with a request it rejects.
    func renew(readEndIsClosed: Bool = false) {
        if readEndIsClosed { self.readEnd = -1 }
        self.close()
    }

    private func open() {
        var ends: [Int32] = [-1, -1]
        guard clinux_sized_pipe(&ends, Int32(Self.capacity)) == 0 else { return }
        self.readEnd = ends[0]
        self.writeEnd = ends[1]
    }

    private func close() {
        if self.readEnd >= 0 { _ = Glibc.close(self.readEnd) }
        if self.writeEnd >= 0 { _ = Glibc.close(self.writeEnd) }
        self.readEnd = -1
        self.writeEnd = -1
    }
}
