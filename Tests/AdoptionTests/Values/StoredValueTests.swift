import Adoption
import CZlib
import NIOCore
import Testing

struct StoredValueTests {
    private func compressed(_ plain: [UInt8]) -> ByteBuffer {
        var length = compressBound(UInt(plain.count))
        var bytes = [UInt8](repeating: 0, count: Int(length))
        #expect(compress(&bytes, &length, plain, UInt(plain.count)) == Z_OK)
        return ByteBuffer(bytes: bytes.prefix(Int(length)))
    }

    private let text = Array("user|s:5:\"alice\";".utf8)

    @Test func plainValuesAreTakenAsTheyStand() {
        let value = ByteBuffer(bytes: self.text)
        #expect(StoredValue.memcache(value, flags: 0, limit: 100) == .session(value))
        #expect(StoredValue.memcached(value, flags: 0, limit: 100) == .session(value))
    }

    @Test(arguments: [1, 17, 65_536, 300_000])
    func zlibStreamsAreInflated(length: Int) {
        let plain = (0..<length).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 7)) }
        let value = self.compressed(plain)
        #expect(StoredValue.memcache(value, flags: 2, limit: length) == .session(ByteBuffer(bytes: plain)))
    }

    @Test func noMoreIsInflatedThanASessionMayHave() throws {
        let bomb = self.compressed(Array(repeating: 0, count: 20_000_000))
        #expect(bomb.readableBytes < 100_000)
        #expect(throws: Inflation.Failure.tooLarge) { try Inflation.inflate(bomb, limit: 524_288) }
        #expect(StoredValue.memcache(bomb, flags: 2, limit: 524_288) == .unreadable("it is larger than max_size"))
    }

    @Test func aDamagedStreamIsNoSession() throws {
        let whole = self.compressed(Array(repeating: 7, count: 5_000) + self.text)
        for length in [0, 1, 2, whole.readableBytes / 2, whole.readableBytes - 1] {
            let part = try #require(whole.getSlice(at: 0, length: length))
            #expect(throws: Inflation.Failure.damaged) { try Inflation.inflate(part, limit: 100_000) }
        }
        #expect(throws: Inflation.Failure.damaged) {
            try Inflation.inflate(ByteBuffer(bytes: self.text), limit: 100_000)
        }
    }

    @Test(arguments: [1, 3, 4, 0x100, 0x300, 0x10000] as [UInt32])
    func valuesThatNoSessionHandlerWritesAreRefused(flags: UInt32) {
        let finding = StoredValue.memcache(ByteBuffer(bytes: self.text), flags: flags, limit: 100)
        #expect(finding == .unreadable("its value is not one of PHP's session handler (flags)"))
    }

    /// php-memcached's class compresses (0x10), its session handler does not.
    @Test(arguments: [1, 4, 0x30, 0x50] as [UInt32])
    func memcachedsOwnFlagsAreRefused(flags: UInt32) {
        let finding = StoredValue.memcached(ByteBuffer(bytes: self.text), flags: flags, limit: 100)
        #expect(finding == .unreadable("its value is not one of PHP's session handler (flags)"))
    }

    @Test func anEmptySessionIsNoneAndALargeOneIsRefused() {
        #expect(StoredValue.session(ByteBuffer(), limit: 10) == .none)
        #expect(StoredValue.session(ByteBuffer(repeating: 1, count: 10), limit: 10) != .none)
        #expect(
            StoredValue.session(ByteBuffer(repeating: 1, count: 11), limit: 10)
                == .unreadable("it is larger than max_size")
        )
    }

    @Test(arguments: [("1", true), ("0", false), ("", false), ("7", true), ("10", true), ("0 ", false), ("00", false)])
    func theLockOfMemcacheIsHeldWhereItIsNotZero(text: String, isHeld: Bool) {
        #expect(StoredValue.isHeld(memcacheLock: ByteBuffer(string: text)) == isHeld)
    }
}
