import Foundation
import GatewayTesting
import Glibc
import Testing

/// Start, reload and end of the gateway as its operator and its visitors see them.
struct LifeCycleTests {
    // MARK: End

    @Test func theEndWaitsForRequestsInFlightAndTheirSessionsAreSaved() async throws {
        let stack = try await FaultStack.ready()
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("before")
        let inFlight = Task { [visitor] in
            var visitor = visitor
            return await visitor.write("during", "gate=end")
        }
        try await stack.waitAtGate("end")
        let process = try stack.gateway.process
        process.send(SIGTERM)
        try await Eventually.holds("the socket to go") { access(stack.gateway.socketPath, F_OK) != 0 }
        #expect(!stack.gateway.address.acceptsConnections)
        #expect(try await stack.client().get("/page.php").status == 502)
        #expect(process.ended == nil)
        try stack.openGate("end")
        #expect(await inFlight.value.outcome == "saved")
        #expect(try await process.waitForEnd() == .status(0))
        try await stack.gateway.start()
        try await stack.waitUntilComplete()
        #expect(await visitor.read().seen?.nonce == "during")
    }

    /// Its response has ended long before, and memcached takes its time.
    @Test func theEndWaitsForALateAnswerThatHasBegun() async throws {
        let stack = try await FaultStack.ready { settings in
            settings.site = settings.site.map { line in
                line.hasPrefix("operation_timeout") || line.hasPrefix("load_timeout")
                    ? line.prefix { $0 != ":" } + ": 2s" : line
            }
        }
        try stack.pages.write(
            "behind.php",
            """
            <?php
            header('Session-Control: ' . getenv('SESSION_TOKEN'));
            echo 'begun';
            fastcgi_finish_request();
            while (!file_exists('\(stack.pages.path("go"))')) usleep(1000);
            $socket = stream_socket_client('unix://' . getenv('SESSION_LATE'));
            fwrite($socket, 'Session-Data: ' . getenv('SESSION_TOKEN') . ' ' . base64_encode('1 behind start') . "\\n");
            stream_socket_shutdown($socket, STREAM_SHUT_WR);
            file_put_contents('\(stack.pages.path("sent"))', '1');
            file_put_contents('\(stack.pages.path("word.tmp"))', stream_get_contents($socket));
            rename('\(stack.pages.path("word.tmp"))', '\(stack.pages.path("word"))');
            """
        )
        var visitor = CountingVisitor(stack.client())
        _ = await visitor.write("start")
        var cookies = visitor.cookies
        #expect(try await stack.client().get("/behind.php", cookies: &cookies).text == "begun")
        for memcached in stack.memcacheds { try memcached.freeze() }
        try stack.pages.write("go", "")
        _ = try await stack.waitForFile("sent")
        // Now the gateway waits for memcached.
        try await Task.sleep(for: .milliseconds(200))
        let process = try stack.gateway.process
        process.send(SIGTERM)
        try await Eventually.holds("the socket to go") { access(stack.gateway.socketPath, F_OK) != 0 }
        try await Task.sleep(for: .milliseconds(200))
        for memcached in stack.memcacheds { try memcached.thaw() }
        #expect(try await process.waitForEnd() == .status(0))
        #expect(try await stack.waitForFile("word") == "Session-Outcome: saved\n")
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func anIdleGatewayEndsAtOnce(signal: Int32) async throws {
        let stack = try await FaultStack(FaultStack.Settings())
        #expect(try await stack.client().get("/page.php").status == 200)
        let start = ContinuousClock.now
        #expect(try await stack.gateway.process.terminate(signal) == .status(0))
        #expect(start.duration(to: .now) < .seconds(5))
    }

    @Test func aSecondSignalEndsItAtOnce() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        let inFlight = Task { try await stack.client().get("/page.php?gate=twice").status }
        try await stack.waitAtGate("twice")
        try await self.endAtOnce(stack.gateway)
        #expect(try await inFlight.value == 502)
    }

    @Test func aSecondSignalKillsTheScriptsAndWhatTheyHaveStarted() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        try stack.pages.write(
            "cgi-bin/family.sh",
            """
            #!/bin/sh
            trap '' TERM
            sleep 1000 &
            echo "$$ $!" > '\(stack.pages.path("family.tmp"))'
            mv '\(stack.pages.path("family.tmp"))' '\(stack.pages.path("family"))'
            wait
            """,
            mode: 0o755
        )
        let inFlight = Task { try await stack.client().get("/cgi-bin/family.sh").status }
        let text = try await stack.waitForFile("family")
        let family = text.split { !$0.isNumber }.compactMap { pid_t($0) }
        #expect(family.count == 2)
        try await self.endAtOnce(stack.gateway)
        #expect(try await inFlight.value == 502)
        try await Eventually.holds("the processes to go") {
            family.allSatisfy { kill($0, 0) != 0 || Self.isZombie($0) }
        }
    }

    /// By two signals.
    private func endAtOnce(_ gateway: GatewayProcess) async throws {
        let process = try gateway.process
        process.send(SIGTERM)
        try await Eventually.holds("the first signal to be noticed") { gateway.log.contains("ending") }
        process.send(SIGTERM)
        #expect(try await process.waitForEnd(within: .seconds(5)) == .status(1))
    }

    /// Ended; whoever has adopted it has not asked yet.
    private static func isZombie(_ process: pid_t) -> Bool {
        let status = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        return status.contains(") Z ")
    }

    @Test func whatIsNotDoneInTimeIsCut() async throws {
        let stack = try await FaultStack(
            FaultStack.Settings {
                $0.memcacheds = 0
                $0.top = "shutdown_timeout: 500ms"
            }
        )
        let inFlight = Task { try await stack.client().get("/page.php?gate=never").status }
        try await stack.waitAtGate("never")
        let start = ContinuousClock.now
        #expect(try await stack.gateway.stop() == .status(0))
        let took = start.duration(to: .now)
        #expect(took >= .milliseconds(500) && took < .seconds(10))
        #expect(try await inFlight.value == 502)
    }

    // MARK: Reload

    @Test func aReloadUnderLoadFailsNoRequest() async throws {
        var settings = FaultStack.Settings()
        let stack = try await FaultStack(settings)
        try await stack.waitUntilComplete()
        let isOver = Flag()
        let visitors = (0..<16).map { number in
            Task {
                var visitor = CountingVisitor(stack.client())
                var history = VisitHistory()
                var count = 0
                while !isOver.isSet {
                    count += 1
                    history.add(await visitor.write("\(number)-\(count)"))
                }
                return history
            }
        }
        let limiters = ["nocache", "private", "none", "nocache"]
        for (reload, limiter) in limiters.enumerated() {
            try await Task.sleep(for: .milliseconds(300))
            settings.site = FaultStack.Settings().site + ["cache_limiter: \(limiter)"]
            if reload == 0 { settings.top = "minimum_rate: 100" }
            try stack.reconfigure(settings)
            try stack.gateway.reload()
            try await Eventually.holds("reload \(reload) to be in force") {
                stack.gateway.log.components("has been read anew") == reload + 1
            }
        }
        isOver.set()
        for visitor in visitors {
            let history = await visitor.value
            #expect(history.violations() == [])
            #expect(history.visits.filter { $0.status != 200 }.map(\.status) == [])
            #expect(history.visits.count > 3)
        }
        #expect(try await stack.client().get("/page.php?nonce=x").header("Pragma") == "no-cache")
        // What a reload leaves as it was is named.
        #expect(stack.gateway.log.components("keys=minimum_rate") == limiters.count)
        // A server that was there before is no news, but where a busy machine has lost it meanwhile.
        let losses = stack.gateway.log.components("memcached server is down")
        #expect(stack.gateway.log.components("memcached server is available") <= stack.memcacheds.count + losses)
    }

    @Test func anInvalidConfigurationIsRefusedAndTheOldOneStays() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        try stack.gateway.write("sites:\n  default:\n    redundancie: 2\n    backend: {fastcgi: \"unix:/nowhere\"}")
        try stack.gateway.reload()
        try await Eventually.holds("the mistake in the log") { stack.gateway.log.contains("redundancie") }
        #expect(!stack.gateway.log.contains("has been read anew"))
        #expect(try await stack.client().get("/early.php").text == "early")
        // Without the file there is no configuration either.
        try FileManager.default.removeItem(atPath: stack.gateway.directory.path("gateway.yaml"))
        let length = stack.gateway.log.count
        try stack.gateway.reload()
        try await Eventually.holds("a second refusal in the log") { stack.gateway.log.count > length }
        #expect(try await stack.client().get("/early.php").text == "early")
    }

    /// The database's port takes connections and says nothing.
    @Test func reloadsThatWaitDoNotPutOffTheEnd() async throws {
        let silent = try SilentListener()
        var settings = FaultStack.Settings { $0.memcacheds = 0 }
        let stack = try await FaultStack(settings)
        settings.site += ["database: {url: \"postgresql://u@127.0.0.1:\(silent.port)/d\", connect_timeout: 3s}"]
        try stack.reconfigure(settings)
        try stack.gateway.reload()
        try await Eventually.holds("the reload to begin") { silent.hasConnection }
        let process = try stack.gateway.process
        process.send(SIGTERM)
        try await Eventually.holds("the socket to go") { access(stack.gateway.socketPath, F_OK) != 0 }
        for _ in 0..<3 {
            try stack.gateway.reload()
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try await process.waitForEnd() == .status(0))
    }

    @Test func listenersComeAndGoWithAReload() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        let directory = stack.gateway.directory
        let second = SocketAddress.unix(directory.path("second.sock"))
        let port = SocketAddress.port(try LoopbackPort.unused())
        let original = directory.read("gateway.yaml")
        let line = "listen: unix:\(stack.gateway.socketPath)"
        func reload(_ listeners: [String]) throws {
            try directory.write(
                "gateway.yaml",
                original.replacing(line, with: "listen: [\(listeners.map { "\"\($0)\"" }.joined(separator: ", "))]")
            )
            try stack.gateway.reload()
        }
        func answer(_ address: SocketAddress) async throws -> String {
            try await Threads.run {
                try FastCGIPeer(address).get(FastCGIPeer.page("/early.php", root: stack.pages.path)).text
            }
        }
        try reload(["unix:\(stack.gateway.socketPath)", "\(second)", "\(port)"])
        try await Eventually.holds("the new sockets") { second.acceptsConnections && port.acceptsConnections }
        for address in [stack.gateway.address, second, port] {
            #expect(try await answer(address).hasSuffix("early"))
        }
        try reload(["\(second)"])
        try await Eventually.holds("the old sockets to go") {
            !stack.gateway.address.acceptsConnections && !port.acceptsConnections
        }
        #expect(access(stack.gateway.socketPath, F_OK) != 0)
        #expect(try await answer(second).hasSuffix("early"))
        #expect(try await stack.gateway.stop() == .status(0))
        #expect(access(directory.path("second.sock"), F_OK) != 0)
    }

    // MARK: Start

    @Test func aSocketThatADeadGatewayLeftIsReplacedAndALiveOneRefused() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        stack.gateway.kill()
        #expect(access(stack.gateway.socketPath, F_OK) == 0)
        try await stack.gateway.start()
        #expect(try await stack.client().get("/early.php").text == "early")

        let (exit, output) = try await self.run(["run", "--config", stack.gateway.directory.path("gateway.yaml")])
        #expect(exit == .status(1))
        #expect(output.contains(stack.gateway.socketPath) && output.contains("another program listens there"))
        #expect(try await stack.client().get("/early.php").text == "early")
    }

    @Test func checkTellsByItsExitStatusWhetherAFileCanBeUsed() async throws {
        let stack = try await FaultStack(FaultStack.Settings { $0.memcacheds = 0 })
        let good = try await self.run(["check", "--config", stack.gateway.directory.path("gateway.yaml")])
        #expect(good.exit == .status(0))
        #expect(good.output.hasPrefix("OK\n"))
        let bad = try stack.pages.write("bad.yaml", "sites:\n  default:\n    redundancy: 99\n")
        let refused = try await self.run(["check", "--config", bad])
        #expect(refused.exit == .status(1))
        #expect(refused.output.contains("bad.yaml:3:"))
        #expect(try await self.run(["check", "--config", "/nowhere.yaml"]).exit == .status(1))
    }

    @Test func itRunsWithoutAFile() async throws {
        let directory = try TemporaryDirectory()
        try FaultPages.write(to: directory)
        let memcached = try await MemcachedProcess()
        let address = SocketAddress.unix(directory.path("gateway.sock"))
        let process = try ServerProcess(
            Executable.built("session-gateway"),
            [
                "run", "--listen", "\(address)", "--backend", "cgi:\(directory.path("cgi-bin"))", "--servers",
                memcached.name, "--redundancy", "1",
            ],
            environment: ["PATH": "/usr/bin:/bin", "STATE_DIRECTORY": directory.path],
            output: directory.path("output")
        )
        try await process.waitUntilReady(address)
        let answer = try await Threads.run {
            try FastCGIPeer(address).get(FastCGIPeer.page("/page.py", query: "nonce=a", root: "/nowhere"))
        }
        #expect(answer.status == 200)
        #expect(answer.text.contains("Session-Outcome: new"))
        #expect(answer.text.contains("Set-Cookie: session="))
        #expect(try await process.terminate() == .status(0))
    }

    private func run(_ arguments: [String]) async throws -> (exit: ServerProcess.Exit, output: String) {
        let directory = try TemporaryDirectory()
        let process = try ServerProcess(
            Executable.built("session-gateway"),
            arguments,
            output: directory.path("output")
        )
        return (try await process.waitForEnd(), process.output)
    }
}

extension FaultStack {
    /// Writes the first gateway's file anew, without telling it.
    func reconfigure(_ settings: Settings) throws {
        let servers = self.memcacheds.indices.map { "127.0.0.1:\(self.cables[$0]?.port ?? self.memcacheds[$0].port)" }
        try self.gateway.write(Self.configuration(settings, servers: servers, pages: self.pages, php: self.php))
    }
}

/// A port whose connections nobody takes.
private final class SilentListener: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        self.port = try LoopbackPort.unused()
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(self.port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard isBound == 0, listen(self.descriptor, 16) == 0 else { throw TestingError("cannot listen") }
    }

    deinit { close(self.descriptor) }

    /// Whether somebody waits to be taken.
    var hasConnection: Bool {
        var poll = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&poll, 1, 0) == 1
    }
}
