import NIOCore
import Testing

@testable import Memcached

@Suite struct MemcachedAddressTests {
    @Test(arguments: [
        ("127.0.0.1:11211", MemcachedAddress.tcp(host: "127.0.0.1", port: 11_211)),
        ("cache-1.example.net:1", .tcp(host: "cache-1.example.net", port: 1)),
        ("[::1]:11211", .tcp(host: "::1", port: 11_211)),
        ("unix:/run/memcached.sock", .unix(path: "/run/memcached.sock")),
        ("unix:///run/memcached.sock", .unix(path: "/run/memcached.sock")),
        ("/run/memcached.sock", .unix(path: "/run/memcached.sock")),
    ]) func anAddressIsRead(text: String, address: MemcachedAddress) {
        #expect(MemcachedAddress(parsing: text) == address)
        #expect(MemcachedAddress(parsing: address.description) == address)
    }

    @Test(arguments: [
        "", ":", "host", "host:", ":1", "host:0", "host:65536", "host:-1", "host:+1", "host:1x", "::1:11211", "[::1]",
        "[::1", "[]:1", "[host]:1", "a b:1", "host:1\n", "unix:", "unix:run", "unix:/", "tcp://host:1",
        "unix:/" + String(repeating: "x", count: 107), "host:99999999999999999999",
    ]) func anythingElseIsRefused(text: String) {
        #expect(MemcachedAddress(parsing: text) == nil)
    }
}

@Suite struct MemcachedKeyTests {
    @Test func aKeyHasOneTo250BytesOutOfThoseThatALineCanCarry() {
        #expect(MemcachedKey("") == nil)
        #expect(MemcachedKey(String(repeating: "k", count: 250)) != nil)
        #expect(MemcachedKey(String(repeating: "k", count: 251)) == nil)
        for byte in UInt8.min...UInt8.max {
            let isRefused = MemcachedKey([0x61, byte, 0x61]) == nil
            #expect(isRefused == (byte <= 0x20 || byte == 0x7F))
        }
    }

    @Test func everyByteIsJudgedInEveryPlaceOfAKeyOfAnyLength() {
        for byte in UInt8.min...UInt8.max {
            let isValid = byte > 0x20 && byte != 0x7F
            for length in [1, 7, 8, 9, 16, 20] {
                for place in 0..<length {
                    var key = [UInt8](repeating: UInt8(ascii: "~"), count: length)
                    key[place] = byte
                    if (MemcachedKey(key) != nil) != isValid { Issue.record("\(byte) in place \(place) of \(length)") }
                }
            }
        }
    }

    @Test func aKeyIsNotPrinted() throws {
        let key = try #require(MemcachedKey("secret"))
        #expect(!"\(key) \(String(reflecting: key)) \([key])".contains("secret"))
    }
}

@Suite struct MemcachedExpiryTests {
    @Test(arguments: [
        (MemcachedExpiry.never, 0), (.seconds(1), 1), (.seconds(0), 1), (.seconds(-5), 1), (.seconds(.min), 1),
        (.seconds(2_592_000), 2_592_000), (.seconds(2_592_001), 1_002_592_001), (.seconds(.max), 2_147_483_647),
        (.seconds(2_000_000_000), 2_147_483_647),
    ]) func upTo30DaysIsRelativeAndMoreIsUnixTime(expiry: MemcachedExpiry, flag: Int) {
        #expect(expiry.flagValue { 1_000_000_000 } == flag)
    }
}

@Suite struct MemcachedSettingsTests {
    // Proven at the byte on 1.6.18: 1,048,517 less the key's length.
    @Test func theLongestValueDependsOnTheKey() {
        var settings = MemcachedSettings()
        #expect(settings.maximumValueLength(keyLength: 10) == .max)
        settings.itemSizeMaximum = 1_048_576
        #expect(settings.maximumValueLength(keyLength: 1) == 1_048_516)
        #expect(settings.maximumValueLength(keyLength: 250) == 1_048_267)
        settings.itemSizeMaximum = 60
        #expect(settings.maximumValueLength(keyLength: 250) == 0)
    }
}
