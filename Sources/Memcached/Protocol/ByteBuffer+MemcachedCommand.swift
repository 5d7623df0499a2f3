import NIOCore

extension ByteBuffer {
    /// Writes the line of a command, up to and including its CRLF. The data block of a write is the caller's.
    ///
    /// `t` stands before `T`, so that the answer shows the time to live before the touch: flags work in their order.
    mutating func writeMemcachedLine(_ command: MemcachedCommand, opaque: UInt64, unixTime: () -> Int) {
        // One write: a dozen small ones would cost more than all the rest.
        self.writeWithUnsafeMutableBytes(minimumWritableBytes: LineWriter.maximumLength) { target in
            var line = LineWriter(target: target)
            line.write(command, opaque: opaque, unixTime: unixTime)
            return line.end
        }
    }
}

/// Writes a command's line into memory that is large enough.
private struct LineWriter {
    /// A key, four numbers of up to 20 digits, and what stands between them.
    static let maximumLength = MemcachedKey.maximumLength + 4 * 20 + 40

    let target: UnsafeMutableRawBufferPointer
    /// Behind the last byte written.
    private(set) var end = 0

    init(target: UnsafeMutableRawBufferPointer) {
        self.target = target
    }

    mutating func write(_ command: MemcachedCommand, opaque: UInt64, unixTime: () -> Int) {
        switch command {
        case .get(let key, let touch):
            self.write("mg ")
            self.write(key)
            self.write(" v t c")
            if let touch {
                self.write(" T")
                self.write(decimal: UInt64(touch.flagValue(unixTime: unixTime)))
            }
            self.write(" O")
            self.write(decimal: opaque)
        case .fetch(let key):
            self.write("mg ")
            self.write(key)
            self.write(" v f O")
            self.write(decimal: opaque)
        case .add(let key, let value, let expiry):
            self.writeStore(key, value, expiry, unixTime: unixTime)
            self.write(" ME c O")
            self.write(decimal: opaque)
        case .compareAndSet(let key, let value, let token, let expiry):
            self.writeStore(key, value, expiry, unixTime: unixTime)
            self.write(" C")
            self.write(decimal: token)
            self.write(" c O")
            self.write(decimal: opaque)
        case .delete(let key, let token):
            self.write("md ")
            self.write(key)
            self.write(" C")
            self.write(decimal: token)
            self.write(" O")
            self.write(decimal: opaque)
        case .noop:
            self.write("mn")
        case .version:
            self.write("version")
        case .settings:
            self.write("stats settings")
        case .statistics:
            self.write("stats")
        }
        self.write("\r\n")
    }

    private mutating func writeStore(
        _ key: MemcachedKey,
        _ value: MemcachedValue,
        _ expiry: MemcachedExpiry,
        unixTime: () -> Int
    ) {
        self.write("ms ")
        self.write(key)
        self.write(" ")
        self.write(decimal: UInt64(value.length))
        self.write(" T")
        self.write(decimal: UInt64(expiry.flagValue(unixTime: unixTime)))
    }

    private mutating func write(_ key: MemcachedKey) {
        key.bytes.withUnsafeBytes { self.write($0) }
    }

    private mutating func write(_ text: StaticString) {
        self.write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: self.target[self.end..<self.end + bytes.count]).copyMemory(from: bytes)
        self.end += bytes.count
    }

    /// Decimal digits, without the `String` that interpolation would make.
    private mutating func write(decimal number: UInt64) {
        var bound: UInt64 = 10
        var length = 1
        while length < 20, number >= bound {
            length += 1
            bound = bound &* 10
        }
        var rest = number
        var index = self.end + length
        while index > self.end {
            index -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            self.target[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
            rest = quotient
        }
        self.end += length
    }
}
