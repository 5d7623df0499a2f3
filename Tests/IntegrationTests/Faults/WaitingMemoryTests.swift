import GatewayTesting
import Glibc
import Testing

/// What requests cost while they wait for a backend.
struct WaitingMemoryTests {
    /// Bytes beyond its body. Without optimisation the same code holds more.
    #if DEBUG
        private static let limit = 33_000
    #else
        private static let limit = 25_000
    #endif

    @Test func aWaitingRequestTakesLittle() async throws {
        let count = Campaign.count(1_000, long: 5_000)
        let stack = try await FaultStack.ready {
            $0.phpChildren = 2
            // None of them fails for coming with so many.
            $0.site = ["connect_timeout: 2s", "operation_timeout: 2s", "load_timeout: 2s", "queue_length: 16384"]
            $0.fastCGI = ["connections: 1", "queue_length: 8192", "queue_timeout: 300s"]
        }
        var visitor = CountingVisitor(stack.client())
        #expect(await visitor.write("a", "pad=1100").outcome == "new")
        let cookie = try #require(visitor.cookies.header)
        let blocking = Task { try await stack.client().get("/page.php?gate=blocked").status }
        try await stack.waitAtGate("blocked")
        let threads = try stack.gateway.process.threadCount
        let page = FastCGIPeer.page("/page.php", root: stack.pages.path, more: [("HTTP_COOKIE", cookie)])
        let bytes = FastCGIPeer.head(page) + FastCGIPeer.record(5)
        func open(_ count: Int) async throws -> [FastCGIPeer] {
            let peers = try await Threads.run {
                try (0..<count).map { number in
                    if number % 50 == 49 { usleep(50_000) }
                    let peer = try FastCGIPeer(stack.gateway.address, timeout: .seconds(120))
                    try peer.send(bytes)
                    return peer
                }
            }
            // The last one waits when its session has been loaded.
            try await stack.waitUntilIdle()
            return peers
        }
        // What the first ones need is not for them alone.
        var peers = try await open(200)
        let before = try stack.gateway.process.residentMemory
        peers += try await open(count)
        let growth = try stack.gateway.process.residentMemory - before
        #expect(growth / count <= Self.limit, "\(growth / count) bytes each")
        #expect(try stack.gateway.process.threadCount <= threads + 1)
        try stack.openGate("blocked")
        #expect(try await blocking.value == 200)
        let all = peers
        let answers = try await Threads.run { try all.map { try $0.answer() } }
        #expect(answers.filter { !$0.hasEnded || !$0.text.contains("Session-Outcome: loaded") }.map(\.text) == [])
    }
}

extension FaultStack {
    /// Waits until the gateway has used no processor time for a third of a second.
    func waitUntilIdle() async throws {
        var last = try self.gateway.process.processorTime
        try await Eventually.holds(within: .seconds(60), "the gateway to have nothing to do") {
            try await Task.sleep(for: .milliseconds(300))
            let now = try self.gateway.process.processorTime
            defer { last = now }
            return now - last <= .milliseconds(10)
        }
    }
}
