import Glibc

/// Checks FastCGI name-value pairs (FastCGI 1.0 §3.4) as they come in, in pieces of any size, without keeping them.
///
/// What passes cannot make libfcgi allocate more than the bytes that came in, and means the same to everybody who
/// reads it: no empty names, no `=` in a name, no NUL anywhere (L2, L22, L23, L28).
struct ParameterGuard {
    static let maximumNameLength = 256
    static let maximumCount = 512
    static let maximumLength = 128 * 1024

    private enum Phase {
        /// The first byte of the name's length.
        case nameLength
        /// The rest of a length of four bytes.
        case longNameLength(missing: Int)
        case valueLength
        case longValueLength(missing: Int)
        case name(missing: Int)
        case value(missing: Int)
    }

    private var phase = Phase.nameLength
    private var count = 0
    private var nameLength = 0
    private var valueLength = 0
    private var isContentLength = false

    /// The last CONTENT_LENGTH, nil where it is absent or empty.
    private(set) var contentLength: Int?

    /// Whether the pairs end here.
    var isBetweenPairs: Bool {
        if case .nameLength = self.phase { true } else { false }
    }

    /// - Returns: why these bytes cannot be let through, or nil.
    mutating func examine(_ bytes: UnsafeRawBufferPointer) -> RefusalReason? {
        var position = 0
        while position < bytes.count {
            switch self.phase {
            case .nameLength:
                if let length = self.shortPair(UnsafeRawBufferPointer(rebasing: bytes[position...])) {
                    position += length
                    continue
                }
                let byte = Int(bytes[position])
                position += 1
                self.nameLength = byte & 0x7f
                self.phase = byte & 0x80 == 0 ? .valueLength : .longNameLength(missing: 3)
            case .longNameLength(let missing):
                self.nameLength = self.nameLength << 8 | Int(bytes[position])
                position += 1
                self.phase = missing == 1 ? .valueLength : .longNameLength(missing: missing - 1)
            case .valueLength:
                let byte = Int(bytes[position])
                position += 1
                self.valueLength = byte & 0x7f
                if byte & 0x80 != 0 {
                    self.phase = .longValueLength(missing: 3)
                } else if let reason = self.lengthsRead() {
                    return reason
                }
            case .longValueLength(let missing):
                self.valueLength = self.valueLength << 8 | Int(bytes[position])
                position += 1
                if missing > 1 {
                    self.phase = .longValueLength(missing: missing - 1)
                } else if let reason = self.lengthsRead() {
                    return reason
                }
            case .name(let missing):
                let piece = UnsafeRawBufferPointer(rebasing: bytes[position...].prefix(missing))
                position += piece.count
                if let reason = self.nameRead(piece, missing: missing) { return reason }
            case .value(let missing):
                let piece = UnsafeRawBufferPointer(rebasing: bytes[position...].prefix(missing))
                position += piece.count
                if let reason = self.valueRead(piece, missing: missing) { return reason }
            }
        }
        return nil
    }

    /// Takes a pair in one step that is whole and ordinary, as nearly all are: two short lengths, and nothing to refuse.
    /// - Returns: its bytes; nil where it is to be looked at step by step.
    private mutating func shortPair(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 2, case let (nameLength, valueLength) = (Int(bytes[0]), Int(bytes[1])),
            nameLength < 0x80, valueLength < 0x80, case let length = 2 + nameLength + valueLength,
            bytes.count >= length, nameLength > 0, nameLength != Self.contentLengthName.utf8CodeUnitCount,
            self.count < Self.maximumCount,
            !Self.contains(UInt8(ascii: "="), UnsafeRawBufferPointer(rebasing: bytes[2..<2 + nameLength])),
            !Self.contains(0, UnsafeRawBufferPointer(rebasing: bytes[2..<length]))
        else { return nil }
        self.count += 1
        return length
    }

    private mutating func lengthsRead() -> RefusalReason? {
        guard self.nameLength > 0 else { return .malformedName }
        guard self.nameLength <= Self.maximumLength && self.valueLength <= Self.maximumLength else {
            return .malformedParameters
        }
        guard self.nameLength <= Self.maximumNameLength else { return .longName }
        self.count += 1
        guard self.count <= Self.maximumCount else { return .manyParameters }
        self.isContentLength = self.nameLength == Self.contentLengthName.utf8CodeUnitCount
        self.phase = .name(missing: self.nameLength)
        return nil
    }

    private static let contentLengthName: StaticString = "CONTENT_LENGTH"

    private mutating func nameRead(_ piece: UnsafeRawBufferPointer, missing: Int) -> RefusalReason? {
        guard !Self.contains(0, piece), !Self.contains(UInt8(ascii: "="), piece) else { return .malformedName }
        if self.isContentLength {
            let expected = Self.contentLengthName.utf8Start + (self.nameLength - missing)
            self.isContentLength = memcmp(expected, piece.baseAddress!, piece.count) == 0
        }
        if missing > piece.count {
            self.phase = .name(missing: missing - piece.count)
        } else {
            if self.isContentLength { self.contentLength = nil }
            self.phase = self.valueLength > 0 ? .value(missing: self.valueLength) : .nameLength
        }
        return nil
    }

    private mutating func valueRead(_ piece: UnsafeRawBufferPointer, missing: Int) -> RefusalReason? {
        guard !Self.contains(0, piece) else { return .malformedValue }
        if self.isContentLength {
            for byte in piece {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return .malformedContentLength }
                let (product, overflows) = (self.contentLength ?? 0).multipliedReportingOverflow(by: 10)
                let (sum, overflowsToo) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
                guard !overflows && !overflowsToo else { return .malformedContentLength }
                self.contentLength = sum
            }
        }
        self.phase = missing > piece.count ? .value(missing: missing - piece.count) : .nameLength
        return nil
    }

    private static func contains(_ byte: UInt8, _ piece: UnsafeRawBufferPointer) -> Bool {
        memchr(piece.baseAddress!, Int32(byte), piece.count) != nil
    }
}
