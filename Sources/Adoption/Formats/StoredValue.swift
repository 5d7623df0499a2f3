package import NIOCore

/// What PHP's handlers store beside a session's data, in the flags of a memcached item.
package enum StoredValue {
    /// PHP's memcache extension: plain, or a zlib stream (`MMC_COMPRESSED`). Other flags are of values that no session
    /// handler writes.
    package static func memcache(_ value: ByteBuffer, flags: UInt32, limit: Int) -> SourceFinding {
        switch flags {
        case 0:
            return self.session(value, limit: limit)
        case 2:
            do {
                return self.session(try Inflation.inflate(value, limit: limit), limit: limit)
            } catch {
                switch error {
                case .tooLarge: return self.tooLarge
                case .damaged: return .unreadable("its compressed value is damaged")
                }
            }
        default:
            return .unreadable("its value is not one of PHP's session handler (flags)")
        }
    }

    /// php-memcached never compresses sessions and writes no flags; what has some is an application's own value.
    package static func memcached(_ value: ByteBuffer, flags: UInt32, limit: Int) -> SourceFinding {
        guard flags == 0 else { return .unreadable("its value is not one of PHP's session handler (flags)") }
        return self.session(value, limit: limit)
    }

    /// What every handler stores for a session that has begun and holds nothing is nothing.
    package static func session(_ value: ByteBuffer, limit: Int) -> SourceFinding {
        if value.readableBytes == 0 { return .none }
        return value.readableBytes <= limit ? .session(value) : self.tooLarge
    }

    static var tooLarge: SourceFinding { .unreadable("it is larger than max_size") }

    /// The lock of PHP's memcache extension: whoever waits counts it up, who ends sets it to 0.
    package static func isHeld(memcacheLock value: ByteBuffer) -> Bool {
        let digits = value.readableBytesView.prefix { (0x30...0x39).contains($0) }
        return digits.contains { $0 != 0x30 }
    }
}
