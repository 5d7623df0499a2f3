/// The alphabet of RFC 4648 §5, without padding, for what is short: ids, tokens, keys.
enum Base64URL {
    private static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    static func character(_ sextet: UInt64) -> UInt8 {
        Self.alphabet.utf8Start[Int(sextet & 0x3f)]
    }

    static func contains(_ byte: UInt8) -> Bool {
        Self.sextet(byte) != nil
    }

    /// The six bits that a character stands for, `nil` for a byte outside the alphabet.
    static func sextet(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt64(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt64(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }

    /// Writes the lowest `bits` of the value, a multiple of six of them, the highest first.
    static func write(_ value: UInt64, bits: Int, into text: UnsafeMutableBufferPointer<UInt8>, at index: Int) {
        var shift = bits - 6
        var index = index
        while shift >= 0 {
            text[index] = Self.character(value >> UInt64(shift))
            index += 1
            shift -= 6
        }
    }
}
