/// The header of a FastCGI record (FastCGI 1.0 §3.3).
struct RecordHeader: Equatable {
    static let byteCount = 8
    static let beginRequest: UInt8 = 1
    static let abortRequest: UInt8 = 2
    static let endRequest: UInt8 = 3
    static let parameters: UInt8 = 4
    static let standardInput: UInt8 = 5
    static let standardOutput: UInt8 = 6
    static let standardError: UInt8 = 7

    var version: UInt8
    var type: UInt8
    var requestID: UInt16
    var contentLength: Int
    var paddingLength: Int

    init(_ bits: UInt64) {
        self.version = UInt8(truncatingIfNeeded: bits >> 56)
        self.type = UInt8(truncatingIfNeeded: bits >> 48)
        self.requestID = UInt16(truncatingIfNeeded: bits >> 32)
        self.contentLength = Int(UInt16(truncatingIfNeeded: bits >> 16))
        self.paddingLength = Int(UInt8(truncatingIfNeeded: bits >> 8))
    }

    /// The header of a record without padding, as it goes over the wire when stored big-endian.
    static func bits(type: UInt8, requestID: UInt16, contentLength: Int) -> UInt64 {
        1 << 56 | UInt64(type) << 48 | UInt64(requestID) << 32 | UInt64(UInt16(contentLength)) << 16
    }
}

/// Finds the records in a byte stream that comes in pieces of any size.
struct RecordCursor {
    enum Step {
        /// The bytes are used up.
        case wait
        /// A header has been read; its content follows.
        case header(RecordHeader)
        /// A piece of the current record's content.
        case content(Range<Int>)
    }

    private var headerBits: UInt64 = 0
    private var headerByteCount = 0
    private(set) var contentRemaining = 0
    private var paddingRemaining = 0

    /// Whether the next byte would begin a record.
    var isBetweenRecords: Bool {
        self.headerByteCount == 0 && self.contentRemaining == 0 && self.paddingRemaining == 0
    }

    /// The next step from `position`, which moves behind it.
    mutating func next(in bytes: UnsafeRawBufferPointer, at position: inout Int) -> Step {
        if self.contentRemaining > 0 {
            let count = min(self.contentRemaining, bytes.count - position)
            guard count > 0 else { return .wait }
            self.contentRemaining -= count
            defer { position += count }
            return .content(position..<position + count)
        }
        if self.paddingRemaining > 0 {
            let count = min(self.paddingRemaining, bytes.count - position)
            self.paddingRemaining -= count
            position += count
            guard self.paddingRemaining == 0 else { return .wait }
        }
        if self.headerByteCount == 0 && bytes.count - position >= RecordHeader.byteCount {
            self.headerBits = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            position += RecordHeader.byteCount
        } else {
            while self.headerByteCount < RecordHeader.byteCount {
                guard position < bytes.count else { return .wait }
                self.headerBits = self.headerBits << 8 | UInt64(bytes[position])
                self.headerByteCount += 1
                position += 1
            }
            self.headerByteCount = 0
        }
        let header = RecordHeader(self.headerBits)
        self.contentRemaining = header.contentLength
        self.paddingRemaining = header.paddingLength
        return .header(header)
    }
}
