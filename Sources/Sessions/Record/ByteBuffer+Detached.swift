package import NIOCore

extension ByteBuffer {
    /// The same bytes, for whoever holds them for long: copied where, as a slice, they would keep more than twice as many in
    /// memory.
    package var detached: ByteBuffer {
        self.storageCapacity / 2 > self.readableBytes ? ByteBuffer(bytes: self.readableBytesView) : self
    }
}
