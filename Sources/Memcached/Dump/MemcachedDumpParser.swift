import NIOCore

/// The lines of `lru_crawler metadump`: `key=<percent-encoded> exp=… …\n`, at the end `END\r\n`.
struct MemcachedDumpParser {
    static let longestLine = 2_048

    private let prefix: [UInt8]
    private let part: MemcachedKeyPart
    private let maximumKeys: Int
    private var keys = [MemcachedKey]()
    private var thereAreMore = false

    /// - Parameters:
    ///   - prefix: of the keys that are taken.
    ///   - maximumKeys: the most that are gathered; what is beyond is only counted out.
    init(prefix: [UInt8], part: MemcachedKeyPart = .all, maximumKeys: Int = .max) {
        self.prefix = prefix
        self.part = part
        self.maximumKeys = maximumKeys
    }

    /// Takes all whole lines out of `bytes`.
    ///
    /// - Returns: how the dump ended; `nil` while it goes on.
    /// - Throws: `.outOfStep` for a line that memcached would not send, `.unusableServer` where dumps are switched off.
    mutating func parse(_ bytes: inout ByteBuffer) throws(MemcachedError) -> MemcachedDumpHandler.Outcome? {
        while let line = try Self.line(in: bytes) {
            guard line.starts(with: "key=".utf8) else { return try self.outcome(line) }
            try self.take(line.dropFirst(4).prefix { $0 != 0x20 })
            bytes.moveReaderIndex(forwardBy: line.count + 1)
        }
        return nil
    }

    /// - Returns: without its line feed; `nil` if there is no whole one.
    private static func line(in bytes: ByteBuffer) throws(MemcachedError) -> ByteBufferView? {
        let view = bytes.readableBytesView
        if let lineFeed = view.prefix(Self.longestLine).firstIndex(of: 0x0A) { return view[..<lineFeed] }
        guard view.count < Self.longestLine else { throw MemcachedError(.outOfStep, "a line is too long") }
        return nil
    }

    private func outcome(_ line: ByteBufferView) throws(MemcachedError) -> MemcachedDumpHandler.Outcome {
        let text = line.last == 0x0D ? line.dropLast() : line
        if text.elementsEqual("END".utf8) { return self.thereAreMore ? .tooManyKeys : .keys(self.keys) }
        if text.starts(with: "BUSY".utf8) { return .busy }
        if text.starts(with: "ERROR".utf8) || text.starts(with: "CLIENT_ERROR".utf8) {
            throw MemcachedError(.unusableServer, "the server admits no dumps")
        }
        throw MemcachedError(.outOfStep, "a line is none of a dump's")
    }

    private mutating func take(_ encoded: ByteBufferView) throws(MemcachedError) {
        guard !self.thereAreMore else { return }
        var bytes = [UInt8]()
        bytes.reserveCapacity(encoded.count)
        var rest = encoded.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(Self.hexDigit), let low = rest.next().flatMap(Self.hexDigit) else {
                throw MemcachedError(.outOfStep, "a key of the dump is not percent-encoded")
            }
            bytes.append(high << 4 | low)
        }
        guard bytes.starts(with: self.prefix), let key = MemcachedKey(bytes), self.part.contains(key) else { return }
        if self.keys.count < self.maximumKeys {
            self.keys.append(key)
        } else {
            self.thereAreMore = true
            self.keys = []
        }
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
