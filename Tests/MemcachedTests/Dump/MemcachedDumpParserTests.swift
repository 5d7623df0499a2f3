import NIOCore
import Testing

@testable import Memcached

@Suite struct MemcachedDumpParserTests {
    typealias Outcome = MemcachedDumpHandler.Outcome

    private func parse(_ text: String, prefix: String = "", maximumKeys: Int = 100) throws -> Outcome? {
        var bytes = ByteBuffer(string: text)
        var parser = MemcachedDumpParser(prefix: Array(prefix.utf8), maximumKeys: maximumKeys)
        return try parser.parse(&bytes)
    }

    private func keys(_ texts: String...) -> Outcome { .keys(texts.map { .test($0) }) }

    private let rest = " exp=1795225123 la=1795225063 cas=2 fetch=no cls=1 size=69\n"

    @Test func keysAreDecodedAndThoseOfOthersLeftOut() throws {
        let lines = ["s%3aa", "t%3Ab", "s%3A%C3%A4", "s%3A%20", "s%3A"].map { "key=\($0)\(self.rest)" }.joined()
        #expect(try self.parse(lines, prefix: "s:") == nil)
        // The last but one has a space: no key of ours.
        #expect(try self.parse(lines + "END\r\n", prefix: "s:") == self.keys("s:a", "s:ä", "s:"))
    }

    @Test func theEndingIsTold() throws {
        #expect(try self.parse("END\r\n") == self.keys())
        #expect(try self.parse("key=a\(self.rest)END\r") == nil)
        #expect(try self.parse("BUSY currently processing crawler request\r\n") == .busy)
    }

    @Test func moreKeysThanFitAreTold() throws {
        let lines = ["a", "x1", "b", "x2"].map { "key=\($0)\(self.rest)" }.joined() + "END\r\n"
        #expect(try self.parse(lines, maximumKeys: 4) == self.keys("a", "x1", "b", "x2"))
        #expect(try self.parse(lines, maximumKeys: 3) == .tooManyKeys)
        #expect(try self.parse(lines, prefix: "x", maximumKeys: 2) == self.keys("x1", "x2"))
    }

    @Test(arguments: [
        ("ERROR metadump not allowed\r\n", MemcachedError.Code.unusableServer),
        ("CLIENT_ERROR lru crawler disabled\r\n", .unusableServer), ("OK\r\n", .outOfStep), ("\n", .outOfStep),
        ("key=%4 \n", .outOfStep), ("key=%zz \n", .outOfStep), ("key=%\n", .outOfStep),
        (String(repeating: "k", count: 2_048), .outOfStep),
    ]) func anythingElseIsAnError(text: String, code: MemcachedError.Code) {
        let error = #expect(throws: MemcachedError.self) { try self.parse(text) }
        #expect(error?.code == code)
    }

    @Test func anyCutGivesTheSameKeys() throws {
        let text = Array("key=s%3Aa\(self.rest)key=b\(self.rest)key=s%3Acc\(self.rest)END\r\n".utf8)
        for cut in 0..<text.count {
            var bytes = ByteBuffer(bytes: text[..<cut])
            var parser = MemcachedDumpParser(prefix: Array("s:".utf8))
            #expect(try parser.parse(&bytes) == nil)
            bytes.writeBytes(text[cut...])
            #expect(try parser.parse(&bytes) == self.keys("s:a", "s:cc"))
        }
    }

    @Test func theHalvesOfAPartHaveAllOfItsKeysOnce() throws {
        var parts = [MemcachedKeyPart.all]
        for _ in 0..<3 {
            parts = try parts.flatMap { part in
                let halves = try #require(part.halves)
                return [halves.0, halves.1]
            }
        }
        #expect(parts.count == 8)
        for index in 0..<200 {
            let key = MemcachedKey.test("key\(index)")
            #expect(parts.filter { $0.contains(key) }.count == 1)
        }
    }
}
