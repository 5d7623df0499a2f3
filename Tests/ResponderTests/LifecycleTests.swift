import CGI
import Glibc
import Logging
import NIOCore
import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct LifecycleTests {
    private typealias Listener = ResponderConfiguration.Listener

    @Test func shuttingDownClosesIdleConnectionsAndLetsRequestsEnd() async throws {
        let received = Signal()
        let go = Signal()
        try await Harness.run { request in
            received.fire()
            await go.wait()
            try await request.answer("late")
        } _: { harness in
            let begun = try harness.connect()
            try await begun.send(Array(Wire.request()[..<5]))
            let silent = try harness.connect()
            let busy = try harness.connect()
            try await busy.send(Wire.request())
            await received.wait()
            try await harness.waitFor { $0.connections == 3 }
            harness.responder.shutDown(timeout: .seconds(20))
            #expect(try await silent.isClosed())
            #expect(throws: RawClient.Failure.self) { _ = try harness.connect() }
            var status = stat()
            #expect(lstat(harness.path, &status) != 0)
            go.fire()
            #expect(try await busy.answer().text == "late")
            // Although it was to be kept.
            #expect(try await busy.isClosed())
            // A request of which the first bytes had come is served, too.
            try await begun.send(Array(Wire.request()[5...]))
            go.fire()
            #expect(try await begun.answer().text == "late")
            #expect(try await begun.isClosed())
        }
    }

    @Test func whatIsInFlightIsCutWhenTheTimeForItHasPassed() async throws {
        let gone = Signal()
        let ended = Signal()
        let received = Signal()
        try await Harness.run { request in
            request.onClientGone {
                gone.fire()
                ended.fire()
            }
            received.fire()
            await ended.wait()
        } _: { harness in
            let client = try harness.connect()
            try await client.send(Wire.request())
            await received.wait()
            harness.responder.shutDown(timeout: .milliseconds(50))
            #expect(try await client.answer() == RawClient.Answer())
            await gone.wait()
            try await harness.expectRefusals([.shutDown: 1])
        }
    }

    @Test func aResponderThatIsShutDownBeforeItRunsReturnsAtOnce() async throws {
        struct NoHandler: RequestHandler {
            func received(_ request: IncomingRequest) {}
        }
        let folder = try TemporaryFolder()
        let responder = try Responder(
            configuration: ResponderConfiguration(listeners: [Listener(.unix(path: folder.path + "/socket"))]),
            handler: NoHandler(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        responder.shutDown(timeout: .seconds(100))
        try await responder.run()
        #expect(throws: RawClient.Failure.self) { try RawClient(unix: folder.path + "/socket") }
    }

    @Test func cancellingTheRunningTaskEndsIt() async throws {
        struct NoHandler: RequestHandler {
            func received(_ request: IncomingRequest) {}
        }
        let folder = try TemporaryFolder()
        let responder = try Responder(
            configuration: ResponderConfiguration(listeners: [Listener(.unix(path: folder.path + "/socket"))]),
            handler: NoHandler(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let task = Task { try await responder.run() }
        let client = try RawClient(unix: folder.path + "/socket")
        task.cancel()
        try await task.value
        #expect(try await client.isClosed())
    }

    // MARK: Reload

    @Test func listenersAreExchangedWithoutLosingARequest() async throws {
        let received = Signal()
        let go = Signal()
        try await Harness.run { request in
            if request.parameters.count > 1 {
                received.fire()
                await go.wait()
            }
            try await request.answer("x")
        } _: { harness in
            let second = harness.folder.path + "/second"
            let old = try harness.connect()
            #expect(try await old.exchange(Wire.request()).hasEnded)
            let busy = try harness.connect()
            try await busy.send(Wire.request([("A", "1"), ("B", "2")]))
            await received.wait()

            try harness.responder.update(listeners: [
                Listener(.unix(path: second)), Listener(.tcp(host: "127.0.0.1", port: 0)),
            ])
            #expect(throws: RawClient.Failure.self) { try harness.connect() }
            #expect(try await RawClient(unix: second).exchange(Wire.request()).hasEnded)
            #expect(try await harness.connectTCP().exchange(Wire.request()).hasEnded)
            // Connections outlive their listener.
            #expect(try await old.exchange(Wire.request()).hasEnded)
            go.fire()
            #expect(try await busy.answer().hasEnded)
        }
    }

    @Test func aListenerThatStaysTakesItsNewModeOver() async throws {
        try await Harness.run { request in
            try await request.answer("x")
        } _: { harness in
            var before = stat()
            #expect(lstat(harness.path, &before) == 0)
            try harness.responder.update(listeners: [Listener(.unix(path: harness.path), mode: 0o600)])
            var after = stat()
            #expect(lstat(harness.path, &after) == 0)
            #expect(after.st_ino == before.st_ino)
            #expect(after.st_mode & 0o777 == 0o600)
            #expect(try await harness.connect().exchange(Wire.request()).hasEnded)
        }
    }

    @Test func anUpdateThatFailsChangesNothing() async throws {
        try await Harness.run { request in
            try await request.answer("x")
        } _: { harness in
            let third = harness.folder.path + "/third"
            let listeners = [
                Listener(.unix(path: harness.path), mode: 0o600), Listener(.unix(path: third)),
                Listener(.unix(path: harness.folder.path + "/no/folder")),
            ]
            let result = Result { try harness.responder.update(listeners: listeners) }
            #expect(throws: ResponderError.self) { try result.get() }
            var status = stat()
            #expect(lstat(harness.path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o660)
            #expect(lstat(third, &status) != 0)
            for client in [try harness.connect(), try harness.connectTCP()] {
                #expect(try await client.exchange(Wire.request()).hasEnded)
            }
        }
    }

    // MARK: The process, in a process of its own

    @Test func libfcgiLeavesTheProcessItsSignals() async {
        await #expect(processExitsWith: .success) {
            signal(SIGTERM, SIG_IGN)
            signal(SIGPIPE, SIG_DFL)
            Responder.prepareProcess()
            Responder.prepareProcess()
            for (number, expected) in [(SIGTERM, SIG_IGN), (SIGUSR1, SIG_DFL), (SIGPIPE, SIG_IGN)] {
                var action = sigaction()
                sigaction(number, nil, &action)
                let handler = action.__sigaction_handler.sa_handler
                #expect(unsafeBitCast(handler, to: Int.self) == unsafeBitCast(expected, to: Int.self))
            }
        }
    }

    @Test func withoutDescriptorsConnectionsAreTurnedAwayAndLaterOnesServed() async {
        await #expect(processExitsWith: .success) {
            try await Harness.run { request in
                try await request.answer("x")
            } _: { harness in
                let first = try harness.connect()
                #expect(try await first.exchange(Wire.request()).hasEnded)
                // Dispatch makes its descriptors with the first sleep that it has to wait for, and traps when it cannot.
                try await Task.sleep(for: .milliseconds(300))
                // The client's end is made while there is still room for it; the other end does not fit any more.
                let probe = dup(0)
                let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
                close(probe)
                var limit = rlimit(rlim_cur: rlim_t(probe), rlim_max: 20_000)
                // Below all that are open: no new descriptor at all.
                #expect(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
                var address = sockaddr_un()
                address.sun_family = sa_family_t(AF_UNIX)
                withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: harness.path.utf8) }
                let result = withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(client, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                    }
                }
                #expect(result == 0)
                try await harness.waitFor { $0.refusals[.noDescriptors] != nil }
                // Served while there is nothing to accept with.
                #expect(try await first.exchange(Wire.request()).hasEnded)
                let before = clock()
                try await Task.sleep(for: .milliseconds(300))
                #expect(clock() - before < CLOCKS_PER_SEC / 10)
                limit.rlim_cur = 1_000
                #expect(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
                #expect(try await harness.connect().exchange(Wire.request()).hasEnded)
            }
        }
    }

    @Test func respondersGiveAllTheirDescriptorsBack() async {
        await #expect(processExitsWith: .success) {
            func descriptorCount() -> Int { (0..<2_000).count { fcntl($0, F_GETFD) >= 0 } }
            var before = 0
            for round in 0..<6 {
                // The first round lets everybody else open what they keep.
                if round == 1 { before = descriptorCount() }
                try await Harness.run { request in
                    try await request.answer("x")
                } _: { harness in
                    let client = try harness.connect()
                    #expect(try await client.exchange(Wire.request(body: Wire.bytes(100_000))).hasEnded)
                }
            }
            #expect(descriptorCount() == before)
        }
    }

    /// Bytes of memory that the process uses.
    private static func residentByteCount() -> Int {
        var buffer = [UInt8](repeating: 0, count: 256)
        let descriptor = open("/proc/self/statm", O_RDONLY)
        defer { close(descriptor) }
        let count = read(descriptor, &buffer, buffer.count)
        let fields = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        return (Int(fields[1]) ?? 0) * 4_096
    }

    @Test func idleConnectionsAndWaitingRequestsTakeLittleMemory() async {
        await #expect(processExitsWith: .success) {
            let waiting = Signal()
            try await Harness.run { request in
                request.onClientGone { withExtendedLifetime(request) {} }
                waiting.fire()
                await waiting.wait()
            } _: { harness in
                let pairs = (0..<30).map { ("NAME_OF_PARAMETER_\($0)", String(repeating: "v", count: 30)) }
                let count = 1_000
                let clients = try (0..<count + 50).map { _ in try harness.connect() }
                for client in clients { try await client.send(Wire.begin()) }
                try await harness.waitFor { $0.connections == clients.count }
                for client in clients[count...] {
                    try await client.send(Wire.stream(4, Wire.pairs(pairs)) + Wire.record(5))
                }
                try await harness.waitFor { $0.activeRequests == 50 }
                let before = Self.residentByteCount()
                for client in clients[..<count] {
                    try await client.send(Wire.stream(4, Wire.pairs(pairs)) + Wire.record(5))
                }
                try await harness.waitFor { $0.activeRequests == clients.count }
                let each = (Self.residentByteCount() - before) / count
                #expect(each < 20_000)
                harness.responder.shutDown(timeout: .zero)
            }
        }
    }
}
