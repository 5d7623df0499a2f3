/// Writes into memory that is large enough: how much is needed is the caller's own sum, and a wrong one ends here instead of
/// going on beyond the memory.
struct RawWriter {
    let target: UnsafeMutableRawBufferPointer
    /// Behind the last byte written.
    private(set) var end = 0

    init(target: UnsafeMutableRawBufferPointer) {
        self.target = target
    }

    @inline(__always)
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        precondition(bytes.count <= self.target.count - self.end)
        (self.target.baseAddress! + self.end).copyMemory(from: source, byteCount: bytes.count)
        self.end += bytes.count
    }

    @inline(__always)
    mutating func write<Integer: FixedWidthInteger>(_ integer: Integer) {
        precondition(MemoryLayout<Integer>.size <= self.target.count - self.end)
        self.target.storeBytes(of: integer.bigEndian, toByteOffset: self.end, as: Integer.self)
        self.end += MemoryLayout<Integer>.size
    }

    mutating func write(_ text: StaticString) {
        self.write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { self.write(UnsafeRawBufferPointer($0)) }
    }
}
