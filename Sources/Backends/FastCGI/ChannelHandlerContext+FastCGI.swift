import FastCGI
import NIOCore

/// What follows the head of a request on a connection.
extension ChannelHandlerContext {
    /// Writes a piece of the body without copying it: headers and slices alternate, and leave by one `writev`.
    func writeFastCGIInput(_ piece: ByteBuffer) {
        var rest = piece
        while true {
            var header = self.channel.allocator.buffer(capacity: 8)
            guard let content = FastCGIRequestEncoder.encodeInputHeader(cutting: &rest, into: &header) else { return }
            self.write(NIOAny(header), promise: nil)
            self.write(NIOAny(content), promise: nil)
        }
    }

    /// Writes the end of the body.
    func writeFastCGIInputEnd() {
        var end = self.channel.allocator.buffer(capacity: 8)
        FastCGIRequestEncoder.encodeInputEnd(into: &end)
        self.write(NIOAny(end), promise: nil)
    }

    /// Writes that nobody waits for the answer any more.
    func writeFastCGIAbort() {
        var abort = self.channel.allocator.buffer(capacity: 8)
        FastCGIRequestEncoder.encodeAbort(into: &abort)
        self.write(NIOAny(abort), promise: nil)
    }
}
