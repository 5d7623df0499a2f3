/// MD5 (RFC 1321) as the rings use it: four words, and no memory but the stack's. swift-crypto's makes an object for every
/// digest, and the ring is asked in every request. It protects nothing here.
enum MD5 {
    /// The digest as four little-endian words.
    static func words(_ bytes: UnsafeRawBufferPointer) -> SIMD4<UInt32> {
        var state = SIMD4<UInt32>(0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476)
        let wholeBlocks = bytes.count & ~63
        for start in stride(from: 0, to: wholeBlocks, by: 64) {
            Self.add(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + 64)]), to: &state)
        }
        // What is left, a bit, zeros, and the length in bits in the last eight bytes of a block.
        let rest = bytes.count - wholeBlocks
        let length = rest < 56 ? 64 : 128
        withUnsafeTemporaryAllocation(byteCount: length, alignment: 8) { tail in
            tail.initializeMemory(as: UInt8.self, repeating: 0)
            tail.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[wholeBlocks...]))
            tail[rest] = 0x80
            tail.storeBytes(
                of: (UInt64(bytes.count) &* 8).littleEndian,
                toByteOffset: length - 8,
                as: UInt64.self
            )
            for start in stride(from: 0, to: length, by: 64) {
                Self.add(UnsafeRawBufferPointer(rebasing: tail[start..<(start + 64)]), to: &state)
            }
        }
        return state
    }

    private static func add(_ block: UnsafeRawBufferPointer, to state: inout SIMD4<UInt32>) {
        var (a, b, c, d) = (state.x, state.y, state.z, state.w)
        Self.sines.withUnsafeBufferPointer { sines in
            // A step of the sixteen of a round: `word` is the number of the block's word that goes in.
            func add(_ a: inout UInt32, _ b: UInt32, _ mixed: UInt32, _ word: Int, _ step: Int, _ rotation: UInt32) {
                let input = block.loadUnaligned(fromByteOffset: (word & 15) * 4, as: UInt32.self)
                let sum = a &+ mixed &+ UInt32(littleEndian: input) &+ sines[step]
                a = b &+ (sum &<< rotation | sum &>> (32 &- rotation))
            }
            for i in stride(from: 0, to: 16, by: 4) {
                add(&a, b, d ^ (b & (c ^ d)), i, i, 7)
                add(&d, a, c ^ (a & (b ^ c)), i + 1, i + 1, 12)
                add(&c, d, b ^ (d & (a ^ b)), i + 2, i + 2, 17)
                add(&b, c, a ^ (c & (d ^ a)), i + 3, i + 3, 22)
            }
            for i in stride(from: 0, to: 16, by: 4) {
                add(&a, b, c ^ (d & (b ^ c)), 5 * i + 1, i + 16, 5)
                add(&d, a, b ^ (c & (a ^ b)), 5 * i + 6, i + 17, 9)
                add(&c, d, a ^ (b & (d ^ a)), 5 * i + 11, i + 18, 14)
                add(&b, c, d ^ (a & (c ^ d)), 5 * i + 16, i + 19, 20)
            }
            for i in stride(from: 0, to: 16, by: 4) {
                add(&a, b, b ^ c ^ d, 3 * i + 5, i + 32, 4)
                add(&d, a, a ^ b ^ c, 3 * i + 8, i + 33, 11)
                add(&c, d, d ^ a ^ b, 3 * i + 11, i + 34, 16)
                add(&b, c, c ^ d ^ a, 3 * i + 14, i + 35, 23)
            }
            for i in stride(from: 0, to: 16, by: 4) {
                add(&a, b, c ^ (b | ~d), 7 * i, i + 48, 6)
                add(&d, a, b ^ (a | ~c), 7 * i + 7, i + 49, 10)
                add(&c, d, a ^ (d | ~b), 7 * i + 14, i + 50, 15)
                add(&b, c, d ^ (c | ~a), 7 * i + 21, i + 51, 21)
            }
        }
        state = state &+ SIMD4(a, b, c, d)
    }

    /// 2³² × |sin(step + 1)|, rounded down.
    private static let sines: [UInt32] = [
        0xD76A_A478, 0xE8C7_B756, 0x2420_70DB, 0xC1BD_CEEE, 0xF57C_0FAF, 0x4787_C62A, 0xA830_4613, 0xFD46_9501,
        0x6980_98D8, 0x8B44_F7AF, 0xFFFF_5BB1, 0x895C_D7BE, 0x6B90_1122, 0xFD98_7193, 0xA679_438E, 0x49B4_0821,
        0xF61E_2562, 0xC040_B340, 0x265E_5A51, 0xE9B6_C7AA, 0xD62F_105D, 0x0244_1453, 0xD8A1_E681, 0xE7D3_FBC8,
        0x21E1_CDE6, 0xC337_07D6, 0xF4D5_0D87, 0x455A_14ED, 0xA9E3_E905, 0xFCEF_A3F8, 0x676F_02D9, 0x8D2A_4C8A,
        0xFFFA_3942, 0x8771_F681, 0x6D9D_6122, 0xFDE5_380C, 0xA4BE_EA44, 0x4BDE_CFA9, 0xF6BB_4B60, 0xBEBF_BC70,
        0x289B_7EC6, 0xEAA1_27FA, 0xD4EF_3085, 0x0488_1D05, 0xD9D4_D039, 0xE6DB_99E5, 0x1FA2_7CF8, 0xC4AC_5665,
        0xF429_2244, 0x432A_FF97, 0xAB94_23A7, 0xFC93_A039, 0x655B_59C3, 0x8F0C_CC92, 0xFFEF_F47D, 0x8584_5DD1,
        0x6FA8_7E4F, 0xFE2C_E6E0, 0xA301_4314, 0x4E08_11A1, 0xF753_7E82, 0xBD3A_F235, 0x2AD7_D2BB, 0xEB86_D391,
    ]
}
