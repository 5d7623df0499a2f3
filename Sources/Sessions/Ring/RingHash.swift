/// The hash functions of the rings, over the bytes of a key or of a point's name.
enum RingHash: Sendable {
    /// CRC-32 (IEEE 802.3, reflected).
    case crc32
    /// FNV-1a, 32 bits. As in PHP's memcache extension on x86, a byte ≥ 0x80 is sign-extended.
    case fnv1a
    /// Jenkins's one_at_a_time. As in libmemcached on x86, a byte ≥ 0x80 is sign-extended.
    case oneAtATime
    /// The first four bytes of the MD5, little-endian.
    case md5

    func callAsFunction(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        switch self {
        case .crc32: Self.crc32(bytes)
        case .fnv1a: Self.fnv1a(bytes)
        case .oneAtATime: Self.oneAtATime(bytes)
        case .md5: MD5.words(bytes).x
        }
    }

    func callAsFunction(_ text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { self(UnsafeRawBufferPointer($0)) }
    }

    private static let crc32Table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0xEDB8_8320 ^ (crc >> 1) : crc >> 1 }
    }

    private static func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~Self.crc32Table.withUnsafeBufferPointer { table in
            bytes.reduce(~0) { crc, byte in table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8) }
        }
    }

    private static func fnv1a(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        bytes.reduce(0x811C_9DC5) { hash, byte in (hash ^ Self.signExtended(byte)) &* 0x0100_0193 }
    }

    private static func oneAtATime(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var hash: UInt32 = 0
        for byte in bytes {
            hash = hash &+ Self.signExtended(byte)
            hash = hash &+ (hash << 10)
            hash ^= hash >> 6
        }
        hash = hash &+ (hash << 3)
        hash ^= hash >> 11
        return hash &+ (hash << 15)
    }

    private static func signExtended(_ byte: UInt8) -> UInt32 {
        UInt32(bitPattern: Int32(Int8(bitPattern: byte)))
    }
}
