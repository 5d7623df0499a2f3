/// Comparisons and numbers on bytes, without regard to any locale.
enum ASCII {
    static func equalIgnoringCase(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        left.count == right.count && left.elementsEqual(right) { Self.lowercase($0) == Self.lowercase($1) }
    }

    static func lowercase(_ byte: UInt8) -> UInt8 {
        (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
    }

    /// `1*DIGIT` that fits an `Int`; nothing else, no sign and no white space.
    static func decimal(_ bytes: some Collection<UInt8>) -> Int? {
        guard !bytes.isEmpty else { return nil }
        var value = 0
        for byte in bytes {
            guard (0x30...0x39).contains(byte) else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowedAgain) = product.addingReportingOverflow(Int(byte - 0x30))
            guard !overflowed, !overflowedAgain else { return nil }
            value = sum
        }
        return value
    }

    /// `tchar` of RFC 9110 §5.6.2.
    static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        // ! # $ % & ' * + - . ^ _ ` | ~
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    /// Only `field-vchar`, space and tab of RFC 9110 §5.5: no control character but tab.
    static func isFieldValue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        // Values with sessions are long: eight bytes at a time, and one by one only where one of eight may be wrong.
        var index = 0
        while index + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if self.mayHaveControlCharacter(word), !bytes[index..<index + 8].allSatisfy(self.isFieldValueByte) {
                return false
            }
            index += 8
        }
        return bytes[index...].allSatisfy(self.isFieldValueByte)
    }

    private static func isFieldValueByte(_ byte: UInt8) -> Bool {
        byte >= 0x20 ? byte != 0x7F : byte == 0x09
    }

    /// Whether a byte is below 0x20 or is 0x7F; sometimes true where none is, never false where one is.
    private static func mayHaveControlCharacter(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let high: UInt64 = 0x8080_8080_8080_8080
        let delete = word ^ (ones &* 0x7F)
        return (((word &- ones &* 0x20) & ~word) | ((delete &- ones) & ~delete)) & high != 0
    }
}
