import Foundation
import GatewayTesting
import Testing

/// Peers of the gateway's socket that do not behave as a web server does. One after the other: each looks at what the
/// process has left.
@Suite(.serialized)
struct HostilePeerTests {
    private func stack() async throws -> FaultStack {
        let stack = try await FaultStack(
            FaultStack.Settings {
                $0.memcacheds = 1
                $0.site = ["redundancy: 1"]
                $0.top = "header_timeout: 3s\nclient_timeout: 20s"
                // The application's connections do not come and go meanwhile.
                $0.fastCGI = ["connections: 4", "idle_timeout: 3600s"]
            }
        )
        try await stack.waitUntilComplete()
        for _ in 0..<4 {
            _ = try await Threads.map(0..<8, atOnce: 8) { _ in try await stack.client().get("/page.php?sleep=30") }
        }
        try await stack.waitUntilIdle()
        return stack
    }

    private func settle(_ stack: FaultStack, at before: Int) async throws {
        try await Eventually.holds(within: .seconds(40), "\(before) descriptors") {
            try stack.gateway.process.descriptorCount <= before
        }
        #expect(try stack.gateway.process.ended == nil)
        #expect(try await stack.client().get("/early.php").text == "early")
    }

    @Test func garbageIsRefusedAndLeavesNothingBehind() async throws {
        let stack = try await self.stack()
        let before = try stack.gateway.process.descriptorCount
        let memory = try stack.gateway.process.residentMemory
        let count = Campaign.count(2_000, long: 30_000)
        let whole = FastCGIPeer.head(FastCGIPeer.page("/early.php", root: stack.pages.path)) + FastCGIPeer.record(5)
        try await Threads.run {
            for number in 0..<count {
                var random = SplitMix(seed: UInt64(number))
                var bytes: [UInt8]
                switch number % 4 {
                case 0:
                    bytes = (0..<random.below(2_000)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                case 1:
                    // A record of any kind, of any length that is said and any that is sent.
                    bytes = FastCGIPeer.record(
                        UInt8(random.below(14)),
                        [UInt8](repeating: 1, count: random.below(300)),
                        id: UInt16(random.below(3))
                    )
                    bytes[4] = UInt8(random.below(256))
                case 2:
                    bytes = Array(whole.prefix(random.below(whole.count)))
                default:
                    bytes = whole
                    for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
                }
                let peer = try FastCGIPeer(stack.gateway.address, timeout: .seconds(10))
                try? peer.send(bytes)
                if number % 3 == 0 { peer.socket.finishSending() }
                if number % 5 == 0 { peer.socket.reset() }
            }
        }
        try await self.settle(stack, at: before)
        #expect(try stack.gateway.process.residentMemory - memory < 20 << 20)
    }

    @Test func peersThatStopHalfWayAreClosedAtTheirDeadline() async throws {
        let stack = try await self.stack()
        let before = try stack.gateway.process.descriptorCount
        let whole = FastCGIPeer.head(FastCGIPeer.page("/early.php", root: stack.pages.path))
        let start = ContinuousClock.now
        let peers = try await Threads.run {
            try (0..<300).map { number in
                let peer = try FastCGIPeer(stack.gateway.address)
                try peer.send(Array(whole.prefix(1 + number * (whole.count - 2) / 300)))
                return peer
            }
        }
        try await Eventually.holds("all to be connected") {
            try stack.gateway.process.descriptorCount >= before + 300
        }
        #expect(try await stack.client().get("/early.php").text == "early")
        let ends = try await Threads.run { try peers.map { try $0.nextRecord() == nil } }
        #expect(ends.allSatisfy { $0 })
        let took = start.duration(to: .now)
        #expect(took >= .seconds(3) && took < .seconds(8))
        try await self.settle(stack, at: before)
    }

    @Test func aByteASecondKeepsNobodyElseWaiting() async throws {
        let stack = try await self.stack()
        let before = try stack.gateway.process.descriptorCount
        let heads = Campaign.count(200, long: 1_000)
        let bodies = Campaign.count(40, long: 200)
        // Normal and disturbed in turn, as the machine has other things to do: once is enough.
        var best = Double.infinity
        for _ in 0..<4 {
            let normal = try await self.percentile(stack)
            let slow = try await self.openSlowPeers(stack, heads: heads, bodies: bodies)
            let isOver = Flag()
            let drip = Task {
                try await Threads.run {
                    while !isOver.isSet {
                        for peer in slow { try? peer.send([1]) }
                        Thread.sleep(forTimeInterval: 1)
                    }
                }
            }
            let disturbed = try await self.percentile(stack)
            isOver.set()
            try await drip.value
            best = min(best, disturbed / normal)
            if best <= 2 { break }
        }
        #expect(best <= 2, "p99 of good clients \(best) times the normal one")
        try await self.settle(stack, at: before)
    }

    /// - Returns: the 99th percentile of a good client's requests, in seconds.
    private func percentile(_ stack: FaultStack) async throws -> Double {
        let times = try await Threads.map(0..<400, atOnce: 4) { _ in
            let start = ContinuousClock.now
            let response = try await stack.client().get("/early.php")
            #expect(response.status == 200)
            return start.duration(to: .now) / .seconds(1)
        }
        return times.sorted()[396]
    }

    private func openSlowPeers(_ stack: FaultStack, heads: Int, bodies: Int) async throws -> [FastCGIPeer] {
        let page = FastCGIPeer.page("/page.php", root: stack.pages.path)
        let upload = FastCGIPeer.page(
            "/cgi-bin/echo.py",
            root: stack.pages.path,
            site: "scripts",
            more: [("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "60000")]
        )
        return try await Threads.run {
            try (0..<heads + bodies).map { number in
                let peer = try FastCGIPeer(stack.gateway.address)
                if number < heads {
                    try peer.send(Array(FastCGIPeer.head(page).prefix(100 + number % 300)))
                } else {
                    try peer.send(FastCGIPeer.head(upload) + [1, 5, 0, 1, 0xea, 0x60, 0, 0])
                }
                return peer
            }
        }
    }

    @Test func slowBodiesAreCutByTheMinimumRate() async throws {
        let stack = try await self.stack()
        let before = try stack.gateway.process.descriptorCount
        let peers = try await self.openSlowPeers(stack, heads: 0, bodies: 20)
        let start = ContinuousClock.now
        let isOver = Flag()
        let drip = Task {
            try await Threads.run {
                while !isOver.isSet {
                    for peer in peers { try? peer.send([1]) }
                    Thread.sleep(forTimeInterval: 1)
                }
            }
        }
        let answers = try await Threads.map(0..<peers.count, atOnce: peers.count) { number in
            try await Threads.run { (try? peers[number].answer())?.hasEnded ?? false }
        }
        isOver.set()
        try await drip.value
        // Five seconds are everybody's, and then 500 bytes a second.
        #expect(!answers.contains(true))
        #expect(start.duration(to: .now) < .seconds(15))
        try await self.settle(stack, at: before)
    }

    @Test func idsWithControlCharactersAreNoSessions() async throws {
        let stack = try await self.stack()
        // Loads touch a session, or miss it, and nothing else does.
        func loads() throws -> Int {
            try stack.memcacheds.reduce(0) { sum, memcached in
                let statistics = try memcached.statistics()
                return ["cmd_touch", "get_misses", "touch_misses"].reduce(sum) { $0 + (Int(statistics[$1] ?? "") ?? 0) }
            }
        }
        var visitor = CountingVisitor(stack.client())
        #expect(await visitor.write("a").outcome == "new")
        let id = try #require(visitor.cookies["session"])
        let before = try loads()
        try await Threads.run {
            for byte in UInt8(1)...255 where !UInt8.isIDByte(byte) && ![0x20, 0x09, 0x3b].contains(byte) {
                for place in [0, 10, id.utf8.count] {
                    var value = Array(id.utf8)
                    value.insert(byte, at: place)
                    // Bytes beyond ASCII are no text: the parameter is put together by hand.
                    let pair = [11, UInt8(8 + value.count)] + Array("HTTP_COOKIEsession=".utf8) + value
                    let head = FastCGIPeer.head(FastCGIPeer.page("/page.php", root: stack.pages.path))
                    let peer = try FastCGIPeer(stack.gateway.address)
                    try peer.send(Array(head.dropLast(8)) + FastCGIPeer.record(4, pair) + FastCGIPeer.record(4))
                    try peer.send(FastCGIPeer.record(5))
                    let answer = try peer.answer()
                    #expect(answer.status == 200 && answer.text.hasSuffix("\r\n\r\n"), "byte \(byte) at \(place)")
                }
            }
        }
        #expect(try loads() == before)
        #expect(await visitor.read().seen?.nonce == "a")
        #expect(try loads() > before)
    }

    @Test func tenThousandIdleConnectionsHoldNoThread() async throws {
        let stack = try await self.stack()
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        // The other tests of the process need some too, and the gateway started with what was allowed before.
        let allowed = try stack.gateway.process.descriptorLimit - 500
        let count = min(Campaign.count(3_000, long: 10_000), allowed)
        let before = try stack.gateway.process.descriptorCount
        let threads = try stack.gateway.process.threadCount
        let memory = try stack.gateway.process.residentMemory
        let bytes =
            FastCGIPeer.head(FastCGIPeer.page("/early.php", root: stack.pages.path, site: "nobody"))
            + FastCGIPeer.record(5)
        let peers = try await Threads.run {
            try (0..<count).map { _ in
                let peer = try FastCGIPeer(stack.gateway.address)
                try peer.send(bytes)
                let answer = try peer.answer()
                #expect(answer.hasEnded && answer.status == 404)
                return peer
            }
        }
        #expect(try stack.gateway.process.descriptorCount >= before + count)
        #expect(try stack.gateway.process.threadCount <= threads + 1)
        let each = (try stack.gateway.process.residentMemory - memory) / count
        #expect(each < 8_000, "\(each) bytes each")
        // They are all still good for a request.
        let again = try await Threads.run {
            try stride(from: 0, to: count, by: 100).map {
                try peers[$0].get(FastCGIPeer.page("/early.php", root: stack.pages.path))
            }
        }
        #expect(again.allSatisfy { $0.text.hasSuffix("early") })
        for peer in peers { peer.socket.close() }
        try await self.settle(stack, at: before)
    }
}

extension UInt8 {
    fileprivate static func isIDByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x5f: true
        default: false
        }
    }
}

extension ServerProcess {
    /// How many descriptors it may have.
    fileprivate var descriptorLimit: Int {
        let text = (try? String(contentsOfFile: "/proc/\(self.pid)/limits", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        return line.flatMap { $0.split(separator: " ").dropFirst(3).first }.flatMap { Int($0) } ?? 1_024
    }
}
