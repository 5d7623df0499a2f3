import GatewayTesting
import Testing

/// More requests at a time than the application can take.
struct CrowdTests {
    @Test(arguments: ["/page.php?sleep=50", "/cgi-bin/sleep.sh?0.05"])
    func fiveHundredSlowRequestsAreAllAnswered(path: String) async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        let client = stack.client()
        for _ in 0..<20 { _ = try await client.get(path) }
        let threads = try stack.gateway.process.threadCount
        let isOver = Flag()
        let watch = Task {
            var most = 0
            while !isOver.isSet {
                most = max(most, try stack.gateway.process.threadCount)
                try await Task.sleep(for: .milliseconds(20))
            }
            return most
        }
        let statuses = try await Threads.map(0..<500, atOnce: 500) { _ in try await client.get(path).status }
        isOver.set()
        #expect(statuses.filter { $0 != 200 } == [])
        // Scripts are started from a few threads of a pool, however many wait.
        #expect(try await watch.value <= threads + 4)
    }

    @Test(arguments: ["page.php?gate=", "cgi-bin/wait.sh?"])
    func whatFindsTheQueueFullGets503WithRetryAfter(path: String) async throws {
        let stack = try await FaultStack(
            FaultStack.Settings {
                $0.memcacheds = 0
                $0.fastCGI = ["connections: 1", "queue_length: 2", "queue_timeout: 60s"]
                $0.cgi = ["processes: 1", "queue_length: 2", "queue_timeout: 60s"]
            }
        )
        try stack.pages.write("cgi-bin/wait.sh", Self.wait, mode: 0o755)
        let first = Task { try await stack.client().get("/\(path)full") }
        try await stack.waitAtGate("full")
        let others = (0..<10).map { _ in Task { try await stack.client().get("/\(path)full") } }
        var refused = 0
        try await Eventually.holds(within: .seconds(20), "eight to be refused") {
            refused = stack.gateway.log.components("a backend failed")
            return refused >= 8
        }
        try stack.openGate("full")
        #expect(try await first.value.status == 200)
        var statuses: [Int] = []
        for other in others {
            let response = try await other.value
            statuses.append(response.status)
            if response.status == 503 { #expect(response.header("Retry-After") != nil) }
        }
        #expect(statuses.sorted() == [200, 200] + [Int](repeating: 503, count: 8))
    }

    @Test(arguments: ["page.php?gate=", "cgi-bin/wait.sh?"])
    func whatHasWaitedForTheQueuesTimeGets503(path: String) async throws {
        let stack = try await FaultStack(
            FaultStack.Settings {
                $0.memcacheds = 0
                $0.fastCGI = ["connections: 1", "queue_timeout: 300ms"]
                $0.cgi = ["processes: 1", "queue_timeout: 300ms"]
            }
        )
        try stack.pages.write("cgi-bin/wait.sh", Self.wait, mode: 0o755)
        let first = Task { try await stack.client().get("/\(path)late") }
        try await stack.waitAtGate("late")
        let start = ContinuousClock.now
        let second = try await stack.client().get("/\(path)late")
        #expect(second.status == 503)
        #expect(second.header("Retry-After") != nil)
        #expect(start.duration(to: .now) >= .milliseconds(300))
        try stack.openGate("late")
        #expect(try await first.value.status == 200)
        #expect(try await stack.client().get("/\(path)late").status == 200)
    }

    private static let wait = """
        #!/bin/sh
        touch "../$QUERY_STRING.in"
        while ! [ -e "../$QUERY_STRING.go" ]; do sleep 0.02; done
        printf 'Content-Type: text/plain\\n\\nwaited'
        """
}
