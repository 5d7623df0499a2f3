import NIOCore

extension ByteBuffer {
    /// Writes the line of a command, up to and including its CRLF. The data block of a write is the caller's.
    ///
    /// `t` stands before `T`, so that the answer shows the time to live before the touch: flags work in their order.
    mutating func writeMemcachedLine(_ command: MemcachedCommand, opaque: UInt64, unixTime: () -> Int) {
        switch command {
        case .get(let key, let touch):
            self.writeStaticString("mg ")
            self.writeBytes(key.bytes)
            self.writeStaticString(" v t c")
            if let touch {
                self.writeStaticString(" T")
                self.writeDecimal(UInt64(touch.flagValue(unixTime: unixTime)))
            }
            self.writeStaticString(" O")
            self.writeDecimal(opaque)
            self.writeStaticString("\r\n")
        case .add(let key, let value, let expiry):
            self.writeStore(key, value, expiry, unixTime: unixTime)
            self.writeStaticString(" ME c O")
            self.writeDecimal(opaque)
            self.writeStaticString("\r\n")
        case .compareAndSet(let key, let value, let token, let expiry):
            self.writeStore(key, value, expiry, unixTime: unixTime)
            self.writeStaticString(" C")
            self.writeDecimal(token)
            self.writeStaticString(" c O")
            self.writeDecimal(opaque)
            self.writeStaticString("\r\n")
        case .noop:
            self.writeStaticString("mn\r\n")
        case .version:
            self.writeStaticString("version\r\n")
        case .settings:
            self.writeStaticString("stats settings\r\n")
        }
    }

    private mutating func writeStore(
        _ key: MemcachedKey,
        _ value: MemcachedValue,
        _ expiry: MemcachedExpiry,
        unixTime: () -> Int
    ) {
        self.writeStaticString("ms ")
        self.writeBytes(key.bytes)
        self.writeStaticString(" ")
        self.writeDecimal(UInt64(value.length))
        self.writeStaticString(" T")
        self.writeDecimal(UInt64(expiry.flagValue(unixTime: unixTime)))
    }

    /// Decimal digits, without the `String` that interpolation would make.
    mutating func writeDecimal(_ number: UInt64) {
        self.writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { bytes in
            var length = 1
            var rest = number / 10
            while rest > 0 {
                length += 1
                rest /= 10
            }
            rest = number
            for index in stride(from: length - 1, through: 0, by: -1) {
                bytes[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return length
        }
    }
}
