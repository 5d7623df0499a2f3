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
        byte < 0x80 && (byte < 0x40 ? self.lowTokens : self.highTokens) >> UInt64(byte & 0x3f) & 1 != 0
    }

    // A bit for each character: ! # $ % & ' * + - . and digits; letters and ^ _ ` | ~
    private static let lowTokens: UInt64 = 0x03ff_6cfa_0000_0000
    private static let highTokens: UInt64 = 0x57ff_ffff_c7ff_fffe

    /// Only `field-vchar`, space and tab of RFC 9110 §5.5: no control character but tab.
    static func isFieldValue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        // Values with sessions are long: eight bytes at a time, and one by one only where one of all may be wrong.
        let ones: UInt64 = 0x0101_0101_0101_0101
        var suspicion: UInt64 = 0
        var index = 0
        while index + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            // The highest bit of a byte gets set below 0x20, at 0x7F, and above it.
            suspicion |= (word &- ones &* 0x20) | (word &+ ones) | word
            index += 8
        }
        let isChecked = suspicion & (ones &* 0x80) == 0
        return bytes[(isChecked ? index : 0)...].allSatisfy(self.isFieldValueByte)
    }

    private static func isFieldValueByte(_ byte: UInt8) -> Bool {
        byte >= 0x20 ? byte != 0x7F : byte == 0x09
    }
}
