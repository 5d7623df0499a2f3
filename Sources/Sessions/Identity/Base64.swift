package import NIOCore

/// Base64 by RFC 4648 §4 over byte buffers: strict (padding required, no white space, no bits that stand for nothing),
/// table-driven.
package enum Base64 {
    package enum Failure: Error, Sendable, Equatable {
        /// A byte outside the alphabet, or padding in the middle.
        case invalidByte
        /// The text does not end on four characters.
        case invalidLength
        /// The bits behind the last byte are not zero: a second spelling of the same bytes.
        case notCanonical
    }

    /// Characters for that many bytes.
    package static func encodedLength(_ count: Int) -> Int { (count + 2) / 3 * 4 }

    /// Appends the readable bytes of `source` in base64.
    package static func encode(_ source: ByteBuffer, into target: inout ByteBuffer) {
        source.withUnsafeReadableBytes { Self.encode($0, into: &target) }
    }

    package static func encode(_ source: UnsafeRawBufferPointer, into target: inout ByteBuffer) {
        let length = Self.encodedLength(source.count)
        guard length > 0 else { return }
        target.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { output in
            Self.encode(source, to: output)
            return length
        }
    }

    /// - Parameter output: of at least `encodedLength` bytes.
    package static func encode(_ source: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) {
        Self.pairs.withUnsafeBufferPointer { pairs in
            let whole = source.count / 3 * 3
            var read = 0
            var written = 0
            // Two groups at a time, as long as there are eight bytes to load; the last two are not looked at.
            while source.count - read >= 8 {
                let bytes = UInt64(bigEndian: source.loadUnaligned(fromByteOffset: read, as: UInt64.self))
                let text =
                    UInt64(pairs[Int(bytes >> 52)]) | UInt64(pairs[Int(bytes >> 40 & 0xfff)]) << 16
                    | UInt64(pairs[Int(bytes >> 28 & 0xfff)]) << 32 | UInt64(pairs[Int(bytes >> 16 & 0xfff)]) << 48
                output.storeBytes(of: text.littleEndian, toByteOffset: written, as: UInt64.self)
                read += 6
                written += 8
            }
            while read < whole {
                let triple = Int(source[read]) << 16 | Int(source[read + 1]) << 8 | Int(source[read + 2])
                output.storeBytes(of: pairs[triple >> 12].littleEndian, toByteOffset: written, as: UInt16.self)
                output.storeBytes(of: pairs[triple & 0xfff].littleEndian, toByteOffset: written + 2, as: UInt16.self)
                read += 3
                written += 4
            }
            let rest = source.count - whole
            if rest > 0 {
                let second = rest == 2 ? Int(source[read + 1]) : 0
                let triple = Int(source[read]) << 16 | second << 8
                output.storeBytes(of: pairs[triple >> 12].littleEndian, toByteOffset: written, as: UInt16.self)
                output.storeBytes(of: pairs[triple & 0xfff].littleEndian, toByteOffset: written + 2, as: UInt16.self)
                output[written + 3] = Self.padding
                if rest == 1 { output[written + 2] = Self.padding }
            }
        }
    }

    /// Appends the bytes that the readable text of `source` stands for. `target` is unchanged where this throws.
    package static func decode(_ source: ByteBuffer, into target: inout ByteBuffer) throws(Failure) {
        var decoder = Decoder()
        let start = target.writerIndex
        target.reserveCapacity(minimumWritableBytes: source.readableBytes / 4 * 3 + 3)
        do throws(Failure) {
            try decoder.decode(source, into: &target)
            try decoder.finish()
        } catch {
            target.moveWriterIndex(to: start)
            throw error
        }
    }

    /// Decodes one text that comes in pieces, cut anywhere.
    package struct Decoder {
        /// Up to three characters of a group that is not complete yet.
        private var held: (UInt8, UInt8, UInt8) = (0, 0, 0)
        private var heldCount = 0
        private var hasEnded = false

        package init() {}

        /// Appends what the piece completes; after an error the target's new bytes mean nothing.
        package mutating func decode(_ source: ByteBuffer, into target: inout ByteBuffer) throws(Failure) {
            let result: Result<Void, Failure> = source.withUnsafeReadableBytes { bytes in
                do throws(Failure) {
                    try self.decode(bytes, into: &target)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            try result.get()
        }

        private mutating func decode(_ source: UnsafeRawBufferPointer, into target: inout ByteBuffer) throws(Failure) {
            var index = 0
            while self.heldCount > 0, index < source.count {
                try self.take(source[index], into: &target)
                index += 1
            }
            // The last group may be padded: it and what is not a whole group go byte by byte.
            let groups = max(0, (source.count - index) / 4 - 1)
            if groups > 0 {
                if self.hasEnded { throw .invalidByte }
                guard Self.decodeGroups(source, from: index, count: groups, into: &target) else { throw .invalidByte }
                index += groups * 4
            }
            while index < source.count {
                try self.take(source[index], into: &target)
                index += 1
            }
        }

        package func finish() throws(Failure) {
            if self.heldCount != 0 { throw .invalidLength }
        }

        private static func decodeGroups(
            _ source: UnsafeRawBufferPointer,
            from start: Int,
            count: Int,
            into target: inout ByteBuffer
        ) -> Bool {
            var isValid = true
            // One byte more than the groups give: a group is stored as four bytes of which the fourth is overwritten.
            target.writeWithUnsafeMutableBytes(minimumWritableBytes: count * 3 + 1) { output in
                isValid = Base64.groups.withUnsafeBufferPointer { groups in
                    var bad: UInt32 = 0
                    var read = start
                    var written = 0
                    for _ in 0..<count {
                        let value =
                            groups[Int(source[read])] | groups[256 + Int(source[read + 1])]
                            | groups[512 + Int(source[read + 2])] | groups[768 + Int(source[read + 3])]
                        bad |= value
                        output.storeBytes(of: value.bigEndian, toByteOffset: written, as: UInt32.self)
                        read += 4
                        written += 3
                    }
                    return bad & Base64.invalid == 0
                }
                return isValid ? count * 3 : 0
            }
            return isValid
        }

        /// One character, through the slow way: carries over the border of pieces and knows padding.
        private mutating func take(_ byte: UInt8, into target: inout ByteBuffer) throws(Failure) {
            if self.hasEnded { throw .invalidByte }
            guard byte == Base64.padding || Base64.sextet(byte) != nil else { throw .invalidByte }
            switch self.heldCount {
            case 0: self.held.0 = byte
            case 1: self.held.1 = byte
            case 2: self.held.2 = byte
            default:
                try self.completeGroup(with: byte, into: &target)
                self.heldCount = 0
                return
            }
            self.heldCount += 1
        }

        private mutating func completeGroup(with last: UInt8, into target: inout ByteBuffer) throws(Failure) {
            guard let first = Base64.sextet(self.held.0), let second = Base64.sextet(self.held.1) else {
                throw .invalidByte
            }
            let third = Base64.sextet(self.held.2)
            let fourth = Base64.sextet(last)
            switch (third, fourth) {
            case (let third?, let fourth?):
                let value = first << 18 | second << 12 | third << 6 | fourth
                target.writeInteger(UInt16(value >> 8))
                target.writeInteger(UInt8(value & 0xff))
            case (let third?, nil):
                guard third & 0b11 == 0 else { throw .notCanonical }
                target.writeInteger(UInt16((first << 12 | second << 6 | third) >> 2))
                self.hasEnded = true
            case (nil, nil):
                guard second & 0b1111 == 0 else { throw .notCanonical }
                target.writeInteger(UInt8((first << 6 | second) >> 4))
                self.hasEnded = true
            case (nil, .some):
                throw .invalidByte
            }
        }
    }

    // MARK: - Tables

    private static let padding = UInt8(ascii: "=")
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    /// What the table holds for bytes outside the alphabet: a group's own bits lie above it.
    private static let invalid: UInt32 = 0xff

    /// Two characters for each value of twelve bits, the first the least significant.
    private static let pairs: [UInt16] = (0..<4_096).map { value in
        UInt16(Self.alphabet[value >> 6]) | UInt16(Self.alphabet[value & 0x3f]) << 8
    }

    /// For each of a group's four places the bits that a character gives, shifted by eight: the group's three bytes lie
    /// in the upper ones.
    private static let groups: [UInt32] = (0..<1_024).map { index in
        guard let sextet = Self.sextet(UInt8(index & 0xff)) else { return Self.invalid }
        return sextet << UInt32(26 - 6 * (index >> 8))
    }

    private static func sextet(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
