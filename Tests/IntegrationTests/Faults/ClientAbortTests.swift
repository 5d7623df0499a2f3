import Foundation
import GatewayTesting
import Testing

/// Visitors who go away before they have their answer.
struct ClientAbortTests {
    /// One php-fpm child and one place for it, so that a second request waits.
    private func stack() async throws -> FaultStack {
        try await FaultStack.ready {
            $0.phpChildren = 4
            $0.fastCGI = ["connections: 2", "idle_timeout: 1s"]
            $0.cgi = ["processes: 2"]
        }
    }

    private func open(_ stack: FaultStack, _ request: HTTPRequest, _ visitor: CountingVisitor) throws -> ClientSocket {
        let socket = try ClientSocket(stack.nginx.address, timeout: .seconds(30))
        var request = request
        if let header = visitor.cookies.header { request.headers.append(("Cookie", header)) }
        try socket.send(stack.client().head(request))
        return socket
    }

    @Test func aClientThatLeavesTheQueueIsNeverServed() async throws {
        let stack = try await self.stack()
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("first")
        let busy = (0..<2).map { number in Task { try await stack.client().get("/page.php?gate=busy\(number)") } }
        for number in 0..<2 { try await stack.waitAtGate("busy\(number)") }
        let before = try stack.gateway.process.descriptorCount
        let socket = try self.open(stack, HTTPRequest("GET", "/abort.php?note=queued"), visitor)
        try await Eventually.holds("the request to arrive") { try stack.gateway.process.descriptorCount > before }
        socket.close()
        try await Eventually.holds("the request to go") { try stack.gateway.process.descriptorCount <= before }
        // The connection is closed a moment before its request leaves the queue: long enough for another one.
        #expect(try await stack.client().get("/cgi-bin/sleep.sh?0.05").status == 200)
        for number in 0..<2 { try stack.openGate("busy\(number)") }
        for task in busy { #expect(try await task.value.status == 200) }
        #expect(await visitor.read().seen?.nonce == "first")
        #expect(stack.pages.read("queued.started") == "")
    }

    @Test func aClientThatLeavesWhileThePageWorksChangesNothing() async throws {
        let stack = try await self.stack()
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("first")
        let socket = try self.open(stack, HTTPRequest("GET", "/abort.php?note=work"), visitor)
        _ = try await stack.waitForFile("work.started")
        let before = try stack.gateway.process.descriptorCount
        socket.close()
        try await Eventually.holds("nginx's connection to be closed") {
            try stack.gateway.process.descriptorCount < before
        }
        try stack.pages.write("work.go", "")
        #expect(try await stack.waitForFile("work.ended") == "worked")
        #expect(await visitor.read().seen?.nonce == "first")
        #expect(await visitor.write("second").outcome == "saved")
    }

    @Test func aClientThatLeavesDuringItsUploadIsNoShortUpload() async throws {
        let stack = try await self.stack()
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("first")
        var request = HTTPRequest("POST", "/abort.php?note=upload&mode=upload")
        request.body = .pattern(length: 10_000_000)
        let socket = try self.open(stack, request, visitor)
        try socket.send([UInt8](repeating: 1, count: 1_000_000))
        _ = try await stack.waitForFile("upload.started")
        socket.close()
        // PHP cannot tell an abort from the end of the body but by `connection_aborted`, or does not go on at all.
        try await Eventually.holds("the upload's end") {
            let ended = stack.pages.read("upload.ended")
            return ended.isEmpty ? stack.gateway.log.contains("abort") : true
        }
        #expect(await visitor.read().seen?.nonce == "first")
        #expect(await visitor.write("second").outcome == "saved")
    }

    @Test func aClientThatLeavesDuringItsDownloadEndsThePage() async throws {
        let stack = try await self.stack()
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("first")
        let socket = try self.open(stack, HTTPRequest("GET", "/abort.php?note=download&mode=download"), visitor)
        _ = try await stack.waitForFile("download.started")
        _ = try socket.receive()
        socket.reset()
        #expect(try await stack.waitForFile("download.ended") == "aborted=1")
        #expect(await visitor.read().seen?.nonce == "first")
    }

    @Test func aScriptWhoseClientLeftIsEndedWithItsChildren() async throws {
        let stack = try await self.stack()
        let note = stack.pages.path("group")
        let socket = try self.open(
            stack,
            HTTPRequest("GET", "/cgi-bin/endless.sh?\(note)"),
            CountingVisitor(stack.client())
        )
        let pids = try await stack.waitForFile("group").split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
        #expect(pids.count == 2)
        #expect(pids.allSatisfy { kill($0, 0) == 0 })
        socket.close()
        try await Eventually.holds("the process group's end") { pids.allSatisfy { !Self.isRunning($0) } }
    }

    @Test func hundredsOfAbortsLeaveNothingBehind() async throws {
        let stack = try await self.stack()
        _ = try await stack.client().get("/page.php")
        _ = try await stack.client().get("/cgi-bin/sleep.sh?0")
        try await Eventually.holds("connections to be idle no longer") { !stack.gateway.log.isEmpty }
        let paths = [
            "/page.php?sleep=30", "/cgi-bin/sleep.sh?0.03", "/abort.php?note=many&mode=download",
            "/download.php?blocks=1",
        ]
        try BlockTransfer.writeBlock(to: stack.pages)
        func settled() async throws -> Int {
            var last = -1
            return try await Eventually.value(within: .seconds(30), "the descriptors to settle") {
                try await Task.sleep(for: .milliseconds(1_500))
                let now = try stack.gateway.process.descriptorCount
                defer { last = now }
                return now == last ? now : nil
            }
        }
        let before = try await settled()
        let count = Campaign.count(240, long: 5_000)
        _ = try await Threads.map(0..<count, atOnce: 12) { number in
            try await Threads.run {
                var random = SplitMix(seed: UInt64(number))
                let socket = try ClientSocket(stack.nginx.address, timeout: .seconds(30))
                var request = HTTPRequest("GET", paths[number % paths.count])
                if number % 3 == 0 {
                    request.method = "POST"
                    request.body = .pattern(length: 1_000_000)
                }
                try socket.send(stack.client().head(request))
                if number % 3 == 0 { try socket.send([UInt8](repeating: 2, count: random.below(300_000))) }
                usleep(UInt32(random.below(40_000)))
                if number % 2 == 0 { socket.reset() } else { socket.close() }
            }
        }
        // The scripts of the last ones may still be at work.
        try await Eventually.holds(within: .seconds(30), "a page after all that") {
            try await stack.client().get("/page.php").status == 200
        }
        // nginx keeps up to 32 idle connections, which is no leak.
        #expect(try await settled() <= before + 32)
        let pid = try stack.gateway.process.pid
        #expect(Self.children(of: pid) == [])
    }

    static func isRunning(_ pid: Int32) -> Bool {
        let state = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.split(separator: ")").last
        return state.map { !$0.hasPrefix(" Z") } ?? false
    }

    static func children(of pid: Int32) -> [Int32] {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return tasks.flatMap { task in
            let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/children", encoding: .utf8)) ?? ""
            return text.split(separator: " ").compactMap { Int32($0) }
        }
    }
}
