import Adoption
import Memcached
import Sessions
import Testing

struct SourceKeysTests {
    private let id = SessionID("k3v0s8t2q1abcdefghij012345")!

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func memcacheHashesThePrefixAndLocksBesideTheData() throws {
        let keys = try #require(SourceKeys.memcache(self.id, prefix: "shop a\t"))
        #expect(self.text(keys.data.bytes) == "shop_a_k3v0s8t2q1abcdefghij012345")
        #expect(self.text(keys.lock.bytes) == "shop_a_k3v0s8t2q1abcdefghij012345.lock")
        #expect(keys.dataPlace == keys.data.bytes)
        #expect(keys.lockPlace == keys.data.bytes)
    }

    @Test func memcachedHashesTheIdAloneAndTheLockByItsOwnName() throws {
        let keys = try #require(SourceKeys.memcached(self.id, prefix: "memc.sess.key."))
        #expect(self.text(keys.data.bytes) == "memc.sess.key.k3v0s8t2q1abcdefghij012345")
        #expect(self.text(keys.lock.bytes) == "memc.sess.key.lock.k3v0s8t2q1abcdefghij012345")
        #expect(self.text(keys.dataPlace) == "k3v0s8t2q1abcdefghij012345")
        #expect(self.text(keys.lockPlace) == "lock.k3v0s8t2q1abcdefghij012345")
    }

    @Test func anIdThatMakesNoKeyIsNotLookedFor() throws {
        // `.lock` has to fit behind it.
        let longest = try #require(SessionID(phpCookie: Array(repeating: UInt8(ascii: "a"), count: 245)))
        #expect(SourceKeys.memcache(longest, prefix: "") != nil)
        #expect(SourceKeys.memcache(longest, prefix: "x") == nil)
        #expect(SourceKeys.memcached(longest, prefix: "memc.sess.key.") == nil)
    }

    @Test(arguments: [
        (0, "/s/sess_k3v0s8t2q1abcdefghij012345"), (2, "/s/k/3/sess_k3v0s8t2q1abcdefghij012345"), (26, nil),
    ])
    func filesLieInDirectoriesNamedByTheId(depth: Int, path: String?) {
        #expect(SessionDirectory(path: "/s", depth: depth).file(of: self.id) == path)
    }

    @Test(arguments: [
        // "k3v0" is 0x3076336b = 813,052,779.
        ([1], 0), ([1, 1], 0), ([1, 2], 1), ([3, 1, 2], 0), ([2, 1, 1], 0), ([1, 5], 1), ([1, 1, 3], 0),
    ])
    func redisIsChosenByTheFirstFourBytes(weights: [Int], server: Int) {
        #expect(RedisPlacement(weights: weights).server(of: self.id) == server)
    }
}
