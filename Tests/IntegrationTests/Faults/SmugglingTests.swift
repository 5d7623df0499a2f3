import GatewayTesting
import Testing

/// Bodies that hold requests of their own, to pages that answer without reading them: nothing of a body is ever executed,
/// whatever connection it is left over on.
struct SmugglingTests {
    private static let offsets = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 4_095, 8_184, 32_760]

    /// A whole request for a page that nobody asked for, over and over, behind some bytes that put it out of step.
    private static func body(_ offset: Int, _ random: inout SplitMix, pages: String) -> [UInt8] {
        let more = [("REMOTE_USER", "root"), ("SESSION_SITE", "default")]
        let request =
            FastCGIPeer.head(FastCGIPeer.page("/foreign.php", root: pages, more: more)) + FastCGIPeer.record(5)
        // Most are small enough to be drained; of the others the connection is closed.
        let length = random.below(10) == 0 ? 1_200_000 : 66_000 + random.below(150_000)
        var body = (0..<offset).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        while body.count < length {
            body += request
            if random.below(8) == 0 { body += [UInt8](repeating: UInt8(random.below(256)), count: random.below(64)) }
        }
        return body
    }

    @Test func nothingOfABodyIsExecutedThroughNginx() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        let count = Campaign.count(100, long: 1_000)
        let answers = try await Threads.map(0..<Self.offsets.count * count, atOnce: 8) { number in
            var random = SplitMix(seed: UInt64(number))
            let body = Self.body(Self.offsets[number % Self.offsets.count], &random, pages: stack.pages.path)
            let path = ["/early.php", "/cgi-bin/early.sh", "/nowhere.php", "/cgi-bin/nowhere.sh"][number % 4]
            return try await stack.client().send(HTTPRequest("POST", path, body: .bytes(body))).text
        }
        #expect(answers.count { $0 == "early" } * 2 == answers.count)
        #expect(!answers.contains { $0.contains("foreign") })
        #expect(!stack.pages.has("executed"))
        // The page would have been executed, had it been asked for.
        #expect(try await stack.client().get("/foreign.php").text == "foreign")
        #expect(stack.pages.has("executed"))
    }

    @Test func nothingOfABodyIsExecutedOnAWebServersConnection() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        let root = stack.pages.path
        try await Threads.run {
            var peer = try FastCGIPeer(stack.gateway.address)
            for number in 0..<Self.offsets.count * Campaign.count(6, long: 100) {
                var random = SplitMix(seed: UInt64(number))
                let body = Self.body(Self.offsets[number % Self.offsets.count], &random, pages: root)
                let more = [("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "\(body.count)")]
                try peer.send(
                    FastCGIPeer.head(FastCGIPeer.page("/cgi-bin/early.sh", root: root, site: "scripts", more: more))
                )
                // Some of the body before the answer, and the rest behind it.
                let early = random.below(body.count)
                try? peer.send(Self.stream(body[..<early]))
                let answer = try peer.answer()
                #expect(answer.text.hasSuffix("early"))
                try? peer.send(Self.stream(body[early...]) + FastCGIPeer.record(5))
                // The same connection goes on with the next request, or is closed: it never answers anything else.
                try? peer.send(
                    FastCGIPeer.head(FastCGIPeer.page("/page.php", root: root)) + FastCGIPeer.record(5)
                )
                if let next = try? peer.answer(), next.hasEnded {
                    #expect(next.text.contains("Status: 200") && !next.text.contains("foreign"))
                } else {
                    peer = try FastCGIPeer(stack.gateway.address)
                }
            }
        }
        #expect(!stack.pages.has("executed"))
    }

    private static func stream(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var records: [UInt8] = []
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = min(bytes.endIndex, start + 32_768)
            records += FastCGIPeer.record(5, bytes[start..<end])
            start = end
        }
        return records
    }
}
