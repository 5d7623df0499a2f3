import NIOCore
import Testing

@testable import Memcached

@Suite struct MemcachedCommandLineTests {
    private func line(_ command: MemcachedCommand) -> String {
        var buffer = ByteBuffer()
        buffer.writeMemcachedLine(command, opaque: 7) { 1_000_000_000 }
        return String(buffer: buffer)
    }

    @Test func commandsAreWrittenAsMetaCommands() {
        let key = MemcachedKey.test("k")
        let value = MemcachedValue(head: ByteBuffer(string: "abc"), body: ByteBuffer(string: "de"))
        #expect(self.line(.get(key, touch: nil)) == "mg k v t c O7\r\n")
        #expect(self.line(.get(key, touch: .seconds(60))) == "mg k v t c T60 O7\r\n")
        #expect(self.line(.get(key, touch: .never)) == "mg k v t c T0 O7\r\n")
        #expect(self.line(.fetch(key)) == "mg k v f O7\r\n")
        #expect(self.line(.add(key, value, .seconds(60))) == "ms k 5 T60 ME c O7\r\n")
        #expect(
            self.line(.compareAndSet(key, value, token: .max, .never)) == "ms k 5 T0 C18446744073709551615 c O7\r\n"
        )
        #expect(self.line(.delete(key, token: 12)) == "md k C12 O7\r\n")
        #expect(self.line(.noop) == "mn\r\n")
        #expect(self.line(.version) == "version\r\n")
        #expect(self.line(.settings) == "stats settings\r\n")
        #expect(self.line(.statistics) == "stats\r\n")
    }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 12_345, UInt64.max]) func numbersAreWrittenInDecimal(number: UInt64) {
        var buffer = ByteBuffer()
        buffer.writeMemcachedLine(.get(MemcachedKey("k")!, touch: nil), opaque: number, unixTime: { 0 })
        #expect(String(buffer: buffer) == "mg k v t c O\(number)\r\n")
    }

    @Test func theLongestLineFits() throws {
        let key = try #require(MemcachedKey(Array(repeating: UInt8(ascii: "k"), count: 250)))
        let value = MemcachedValue(head: ByteBuffer(string: "abc"), body: ByteBuffer(string: "de"))
        var buffer = ByteBuffer()
        buffer.writeMemcachedLine(.compareAndSet(key, value, token: .max, .never), opaque: .max, unixTime: { 0 })
        #expect(buffer.readableBytes == "ms ".count + 250 + " 5 T0 C c O\r\n".utf8.count + 40)
    }
}
