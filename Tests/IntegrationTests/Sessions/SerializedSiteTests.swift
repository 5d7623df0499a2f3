import GatewayTesting
import Testing

/// `concurrency: serialize`: requests of one session go one after the other, also through two gateways.
struct SerializedSiteTests {
    private func stack(gateways: Int = 2, _ lines: [String]) async throws -> FaultStack {
        try await FaultStack.ready { settings in
            settings.gateways = gateways
            settings.site += ["concurrency: serialize"] + lines
        }
    }

    @Test func ofManyRequestsAtOnceNoneIsLost() async throws {
        let stack = try await self.stack(["max_waiting: 40"])
        var visitor = CountingVisitor(stack.client())
        #expect(await visitor.write("start").outcome == "new")
        let start = visitor
        let visits = await withTaskGroup { group in
            for number in 0..<24 {
                group.addTask {
                    var visitor = start
                    return await visitor.write("n\(number)", through: stack.client(number % 2))
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(visits.allSatisfy { $0.outcome == "saved" }, "\(visits.map(\.outcome))")
        #expect(Set(visits.compactMap(\.seen?.count)) == Set(1...24))
        #expect(await visitor.read().seen?.count == 25)
    }

    @Test func withTooManyWaitingTheNextIsAnsweredAtOnce() async throws {
        let stack = try await self.stack(gateways: 1, ["max_waiting: 2"])
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=full")
        }
        try await stack.waitAtGate("full")
        let refusals = try await withThrowingTaskGroup { group in
            for number in 0..<6 {
                group.addTask {
                    var cookies = start.cookies
                    return try await stack.client().get("/page.php?nonce=w\(number)", cookies: &cookies)
                }
            }
            var refusals: [HTTPResponse] = []
            for _ in 0..<4 {
                if let response = try await group.next() { refusals.append(response) }
            }
            // Somebody else does not wait.
            var other = CountingVisitor(stack.client())
            #expect(await other.write("other").outcome == "new")
            try stack.openGate("full")
            for try await response in group { #expect(response.header("X-Outcome") == "saved") }
            return refusals
        }
        #expect(refusals.allSatisfy { $0.status == 503 && $0.header("Retry-After") == "1" })
        #expect(await working.value.outcome == "saved")
        #expect(await visitor.read().seen?.count == 4)
    }

    @Test func whoWaitsTooLongIsTold() async throws {
        let stack = try await self.stack(["lock_timeout: 1s"])
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=long")
        }
        try await stack.waitAtGate("long")
        for gateway in 0..<2 {
            var visitor = start
            let visit = await visitor.write("late", through: stack.client(gateway))
            #expect(visit.status == 503)
            #expect(visit.end - visit.start >= .milliseconds(900))
        }
        try stack.openGate("long")
        #expect(await working.value.outcome == "saved")
        #expect(await visitor.write("then").outcome == "saved")
        #expect(await visitor.read().seen?.count == 3)
    }

    /// As nginx passes it on, and as the browser asked for it.
    @Test(arguments: ["/read.php", "/api/poll"])
    func aPathThatOnlyReadsNeitherWaitsNorChanges(path: String) async throws {
        let stack = try await FaultStack.ready { settings in
            settings.site += ["concurrency: serialize", "readonly: '^/(read|api/poll)'", "lock_timeout: 60s"]
            settings.server += " location /api/ { try_files $uri /page.php$is_args$args; }"
        }
        try stack.pages.write("read.php", stack.pages.read("page.php"))
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=read")
        }
        try await stack.waitAtGate("read")
        var cookies = start.cookies
        let response = try await stack.client().get("\(path)?nonce=never", cookies: &cookies)
        #expect(response.status == 200)
        #expect(SeenSession(response.text)?.nonce == "start")
        #expect(response.header("X-Outcome") == "loaded")
        try stack.openGate("read")
        #expect(await working.value.outcome == "saved")
        #expect(await visitor.read().seen?.nonce == "works")
    }

    /// What was announced has come, whatever it is worth: nobody waits for `late_timeout`.
    @Test func aLateAnswerThatIsRefusedEndsTheTurn() async throws {
        let stack = try await self.stack(gateways: 1, [])
        try stack.pages.write(
            "broken.php",
            """
            <?php
            header('Session-Control: ' . getenv('SESSION_TOKEN'));
            echo 'begun';
            fastcgi_finish_request();
            $socket = stream_socket_client('unix://' . getenv('SESSION_LATE'));
            fwrite($socket, 'Session-Data: ' . getenv('SESSION_TOKEN') . " !!!!\n");
            stream_socket_shutdown($socket, STREAM_SHUT_WR);
            stream_get_contents($socket);
            """
        )
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        var cookies = visitor.cookies
        let response = try await stack.client().get("/broken.php", cookies: &cookies)
        #expect(response.text == "begun")
        let visit = await visitor.write("next")
        #expect(visit.outcome == "saved" && visit.seen?.nonce == "start")
        #expect(visit.end - visit.start < .seconds(10))
        #expect(stack.gateway.log.contains("a late answer cannot be carried out"))
    }

    @Test func theTurnOfADeadGatewayEnds() async throws {
        let stack = try await self.stack([])
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=dead")
        }
        try await stack.waitAtGate("dead")
        stack.gateways[0].kill()
        #expect(await working.value.status != 200)
        var other = start
        let visit = await other.write("next", through: stack.client(1))
        #expect(visit.outcome == "saved")
        #expect(visit.end - visit.start < .seconds(25))
        try stack.openGate("dead")
    }

    /// Both configurations have the same turns.
    @Test func aConfigurationThatIsRefusedLeavesTheLimitsAsTheyWere() async throws {
        let adjust: (inout FaultStack.Settings) -> Void = { $0.site += ["concurrency: serialize"] }
        let stack = try await FaultStack.ready(adjust)
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        var settings = FaultStack.Settings(adjust)
        settings.site += ["max_waiting: 0", "database: sqlite:/dev/null/sessions.sqlite"]
        try stack.reconfigure(settings)
        try stack.gateway.reload()
        try await Eventually.holds("the refusal") { stack.gateway.log.contains("the old one stays") }
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=limits")
        }
        try await stack.waitAtGate("limits")
        let next = Task {
            var visitor = start
            return await visitor.write("next")
        }
        try await Task.sleep(for: .milliseconds(300))
        try stack.openGate("limits")
        #expect(await working.value.outcome == "saved")
        #expect(await next.value.outcome == "saved")
    }

    /// The old configuration's requests and the new one's, with the database alone.
    @Test func aReloadLetsNobodyOvertake() async throws {
        let stack = try await FaultStack(
            FaultStack.Settings { settings in
                settings.memcacheds = 0
                settings.site = ["concurrency: serialize"]
            }
        )
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=reload")
        }
        try await stack.waitAtGate("reload")
        try stack.gateway.reload()
        try await Eventually.holds("the reload") { stack.gateway.log.contains("has been read anew") }
        let next = Task {
            var visitor = start
            return await visitor.write("next")
        }
        try await Task.sleep(for: .milliseconds(300))
        try stack.openGate("reload")
        #expect(await working.value.outcome == "saved")
        let visit = await next.value
        #expect(visit.outcome == "saved")
        #expect(visit.seen?.nonce == "works")
    }

    @Test func whoGoesAwayWhileWaitingIsPassedOver() async throws {
        let stack = try await self.stack(gateways: 1, [])
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        let start = visitor
        let working = Task {
            var visitor = start
            return await visitor.write("works", "gate=away")
        }
        try await stack.waitAtGate("away")
        let cookie = start.cookies.header ?? ""
        for _ in 0..<6 {
            let socket = try ClientSocket(stack.nginx.address)
            try socket.send("GET /page.php?nonce=gone HTTP/1.1\r\nHost: gateway0\r\nCookie: \(cookie)\r\n\r\n")
            try await Task.sleep(for: .milliseconds(100))
            socket.close()
        }
        try stack.openGate("away")
        #expect(await working.value.outcome == "saved")
        // All places are free again, and none of those that left has been at work.
        #expect(await visitor.write("then").seen?.nonce == "works")
    }
}
