import Testing

@testable import Sessions

struct SipHashTests {
    /// Key and input are the bytes 0, 1, 2, …: the test vectors of the authors, and for 63 bytes OpenSSL's.
    static let vectors: [(length: Int, hash: UInt64)] = [
        (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (7, 0xab02_00f5_8b01_d137),
        (8, 0x93f5_f579_9a93_2462), (9, 0x9e00_82df_0ba9_e4b0), (15, 0xa129_ca61_49be_45e5),
        (16, 0x3f2a_cc7f_57c2_9bdb), (63, 0x958a_324c_eb06_4572),
    ]

    @Test(arguments: Self.vectors)
    func itIsTheAuthorsHashHoweverTheInputIsCut(length: Int, hash: UInt64) {
        let input = (0..<length).map { UInt8($0) }
        for first in 0...length {
            for second in stride(from: first, through: length, by: 3) {
                var sip = SipHash(key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
                for piece in [input[..<first], input[first..<second], input[second...]] {
                    piece.withUnsafeBytes { sip.update($0) }
                }
                #expect(sip.finalize() == hash)
            }
        }
    }
}
