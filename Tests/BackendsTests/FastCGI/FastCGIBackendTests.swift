import Backends
import CGI
import FastCGI
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

final class FastCGIBackendTests: Sendable {
    private let applications = Mutex<[FakeApplication]>([])

    deinit {
        for application in self.applications.withLock({ $0 }) { application.stop() }
    }

    /// An application that lives as long as the test.
    private func application(
        overTCP: Bool = false,
        _ behavior: @escaping FakeApplication.Behavior
    ) async throws -> FakeApplication {
        let application = try await FakeApplication(overTCP: overTCP, behavior)
        self.applications.withLock { $0.append(application) }
        return application
    }

    private func backend(
        _ applications: FakeApplication...,
        change: (inout FastCGIBackendConfiguration) -> Void = { _ in }
    ) -> FastCGIBackend {
        var configuration = FastCGIBackendConfiguration(upstreams: applications.map { .unix(path: $0.path) })
        // Machines that run tests may be slow.
        configuration.connectTimeout = .seconds(60)
        configuration.queueTimeout = .seconds(60)
        change(&configuration)
        return FastCGIBackend(configuration: configuration, logger: quietLogger)
    }

    private let get = request(["REQUEST_METHOD": "GET"])
    private let post = request(["REQUEST_METHOD": "POST"])

    /// As `localhost` is, where an application listens at 127.0.0.1 alone: the first address refuses.
    @Test func aNameMayHaveSeveralAddresses() async throws {
        let application = try await self.application(overTCP: true) { _, _, record in
            endsRequest(record) ? [.send(Records.answer("body"))] : []
        }
        var configuration = FastCGIBackendConfiguration(
            upstreams: [.tcp(host: "two.test", port: try #require(application.port))]
        )
        configuration.connections = 2
        configuration.connectTimeout = .seconds(60)
        let backend = FastCGIBackend(configuration: configuration, resolver: TwoAddresses(), logger: quietLogger)
        for _ in 0..<4 {
            let exchange = try await backend.begin(self.get)
            guard case .head(let head) = try await exchange.next() else {
                Issue.record("the head comes first")
                return
            }
            #expect(head.status == 200)
            #expect(try await exchange.next() == .body(ByteBuffer(string: "body")))
            #expect(try await exchange.next() == .end)
        }
        #expect(application.connectionCount <= 2)
        await backend.shutDown()
    }

    @Test func anAnswerInOneReadIsThreeEventsThatNeedNoWaiting() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("body"))] : []
        }
        let exchange = try await self.backend(application).begin(self.get)
        guard case .head(let head) = try await exchange.next() else {
            Issue.record("the head comes first")
            return
        }
        #expect(head.status == 200)
        #expect(exchange.hasBufferedEvent)
        #expect(try await exchange.next() == .body(ByteBuffer(string: "body")))
        #expect(exchange.hasBufferedEvent)
        #expect(try await exchange.next() == .end)
        // Nothing comes behind the end, and giving up has no effect any more.
        exchange.abort()
        #expect(application.openCount == 1)
    }

    @Test func outputAndErrorTextKeepTheirOrder() async throws {
        let application = try await self.application { _, _, record in
            guard endsRequest(record) else { return [] }
            return [
                .send(
                    Records.joined(
                        Records.errorOutput("one"),
                        Records.output("A: b\n\nx"),
                        Records.errorOutput("two"),
                        Records.output("y"),
                        Records.errorOutput(""),
                        Records.output(""),
                        Records.end()
                    )
                )
            ]
        }
        let answer = await self.backend(application).answer(self.get)
        #expect(answer.events == ["error", "head", "body", "error", "body", "end"])
        #expect(answer.errorText == "onetwo")
        #expect(answer.text == "xy")
    }

    @Test func aConnectionIsKeptAndUsedAgain() async throws {
        let application = try await self.application { _, request, record in
            endsRequest(record) ? [.send(Records.answer("\(request)"))] : []
        }
        // With one connection none is left to rest.
        let backend = self.backend(application) { $0.connections = 1 }
        for round in 0..<10 {
            #expect(await backend.answer(self.get).text == "\(round)")
        }
        #expect(application.connectionCount == 1)
        await backend.shutDown()
        #expect(await eventually { application.openCount == 0 })
    }

    @Test func theConnectionIsFreeBeforeTheAnswerHasBeenTaken() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) { $0.connections = 1 }
        let first = try await backend.begin(self.get)
        #expect(await eventually { first.hasBufferedEvent })
        #expect(await backend.answer(self.get).text == "x")
        #expect(await Answer(first).text == "x")
        #expect(application.connectionCount == 1)
    }

    @Test func connectionsAreLimitedOverAllEventLoopsTogether() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) { $0.connections = 3 }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 4)
        await withTaskGroup(of: Answer.self) { tasks in
            for _ in 0..<200 {
                tasks.addTask { await backend.answer(request(["REQUEST_METHOD": "GET"], on: group.next())) }
            }
            for await answer in tasks { #expect(answer.text == "x") }
        }
        #expect((1...3).contains(application.connectionCount))
        await backend.shutDown()
        try await group.shutdownGracefully()
    }

    @Test func anIdleConnectionIsClosedAfterItsTime() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) { $0.idleTimeout = .milliseconds(100) }
        #expect(await backend.answer(self.get).text == "x")
        #expect(await eventually { application.openCount == 0 })
        #expect(await backend.answer(self.get).text == "x")
        #expect(application.connectionCount == 2)
    }

    @Test func aRequestOnAConnectionThatWasClosedMeanwhileIsSentOnceMore() async throws {
        // Every connection answers once and closes when it sees a second request.
        let application = try await self.application { _, request, record in
            guard endsRequest(record) else { return [] }
            return request == 0 ? [.send(Records.answer("x"))] : [.close]
        }
        let backend = self.backend(application) {
            $0.connections = 1
            $0.repeatWindow = .seconds(60)
        }
        for _ in 0..<6 {
            #expect(await backend.answer(self.get).text == "x")
        }
        #expect(application.connectionCount == 6)
        // What was read whole may have been done: a POST is not done twice.
        let post = await backend.answer(self.post)
        #expect(post.error?.code == .connectionClosed)
        #expect(application.connectionCount == 6)
    }

    @Test func aPostThatWasNotReadIsSentOnceMore() async throws {
        let application = try await self.application { connection, _, record in
            guard endsRequest(record) else { return [] }
            return [.send(Records.answer("x"))] + (connection == 0 ? [.stopReading] : [])
        }
        let backend = self.backend(application) {
            $0.connections = 1
            $0.repeatWindow = .seconds(60)
        }
        #expect(await backend.answer(self.post).text == "x")
        let exchange = try await backend.begin(self.post)
        try await Task.sleep(for: .milliseconds(20))
        application.closeConnections()
        #expect(await Answer(exchange).text == "x")
        #expect(application.connectionCount == 2)
    }

    @Test func aHeadThatComesByteByByteMustBeWholeInTime() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application) { $0.responseTimeout = .milliseconds(300) }
        let exchange = try await backend.begin(self.get)
        let start = ContinuousClock.now
        let sender = Task {
            while !Task.isCancelled {
                try await application.send(Records.output("A"))
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        #expect(await Answer(exchange).error?.code == .timedOut)
        #expect(ContinuousClock.now - start < .seconds(30))
        sender.cancel()
    }

    /// Whether it was still in line then or not: its place is free again.
    @Test func whoGivesUpWhenItsTurnComesLeavesNothingBehind() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) { $0.connections = 1 }
        for round in 0..<300 {
            let first = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
            let waiting = Task {
                let exchange = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
                try await withTaskCancellationHandler {
                    _ = try await exchange.next()
                } onCancel: {
                    exchange.abort()
                }
            }
            if round % 2 == 0 { await Task.yield() }
            async let finished: Void = first.finishBody()
            for _ in 0..<(round % 7) { await Task.yield() }
            waiting.cancel()
            try await finished
            #expect(await Answer(first).text == "x")
            await #expect(throws: (any Error).self) { try await waiting.value }
        }
        #expect(await backend.answer(self.get).text == "x")
        await backend.shutDown()
    }

    @Test func aFreshConnectionThatIsClosedIsNotTriedAgain() async throws {
        let application = try await self.application { _, _, record in endsRequest(record) ? [.close] : [] }
        let answer = await self.backend(application).answer(self.get)
        #expect(answer.error?.code == .connectionClosed)
        #expect(application.connectionCount == 1)
    }

    @Test func aRequestThatWasBeingExecutedIsNotSentOnceMore() async throws {
        let application = try await self.application { _, request, record in
            endsRequest(record) && request == 0 ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) {
            $0.connections = 1
            $0.repeatWindow = .milliseconds(1)
        }
        #expect(await backend.answer(self.get).text == "x")
        let exchange = try await backend.begin(self.get)
        #expect(await eventually { application.records.filter(endsRequest).count == 2 })
        try await Task.sleep(for: .milliseconds(20))
        application.closeConnections()
        #expect(await Answer(exchange).error?.code == .connectionClosed)
        #expect(application.connectionCount == 1)
    }

    @Test func aStreamedBodyIsNotSentOnceMore() async throws {
        let application = try await self.application { _, request, record in
            if request == 0 { return endsRequest(record) ? [.send(Records.answer("x"))] : [] }
            return [.close]
        }
        let backend = self.backend(application) { $0.connections = 1 }
        #expect(await backend.answer(self.get).text == "x")
        let exchange = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
        #expect(await Answer(exchange).error?.code == .connectionClosed)
        // What the application does not take any more does no harm.
        try await exchange.writeBody(ByteBuffer(string: "more"))
        try await exchange.finishBody()
    }

    @Test func anAnswerThatBreaksOffIsNeverAnEnd() async throws {
        let answers: [(ByteBuffer, BackendError.Code)] = [
            (Records.output("A: b\n\nsome"), .connectionClosed),
            (Records.output("A: b\n"), .connectionClosed),
            (Records.errorOutput("text"), .connectionClosed),
            (ByteBuffer(bytes: [1, 6, 0, 1]), .connectionClosed),
        ]
        for (bytes, code) in answers {
            let application = try await self.application { _, _, record in
                endsRequest(record) ? [.send(bytes), .close] : []
            }
            let answer = await self.backend(application).answer(self.get)
            #expect(answer.error?.code == code)
            #expect(!answer.events.contains("end"))
        }
    }

    @Test func aBrokenProtocolIsAMalformedResponseAndClosesTheConnection() async throws {
        let head = Records.output("A: b\n\n")
        let hostile: [ByteBuffer] = [
            ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"),
            Records.record(6, ByteBuffer(), id: 2),
            Records.record(6, ByteBuffer(), id: 0),
            Records.record(11, ByteBuffer(bytes: [0, 0, 0, 0, 0, 0, 0, 0]), id: 0),
            Records.record(1, ByteBuffer()),
            Records.record(6, ByteBuffer(), version: 2),
            Records.record(3, ByteBuffer(bytes: [0])),
            Records.end(),
            Records.joined(Records.output("A: b\n"), Records.end()),
            Records.joined(Records.output("Status: 101\n\n"), Records.end()),
            Records.joined(Records.output("no head"), Records.output("\n\n")),
            Records.joined(head, Records.output(""), Records.output("more")),
            Records.joined(Records.output("Content-Length: 5\n\nfour"), Records.end()),
            Records.output(String(repeating: "x", count: 33_000)),
        ]
        for bytes in hostile {
            let application = try await self.application { _, _, record in
                endsRequest(record) ? [.send(bytes)] : []
            }
            let answer = await self.backend(application).answer(self.get)
            #expect(answer.error?.code == .malformedResponse)
            #expect(!answer.events.contains("end"))
            #expect(await eventually { application.openCount == 0 })
        }
    }

    @Test func anOverloadedApplicationIsUnavailable() async throws {
        for status: UInt8 in [1, 2, 3] {
            let application = try await self.application { _, _, record in
                endsRequest(record) ? [.send(Records.end(status: status))] : []
            }
            #expect(await self.backend(application).answer(self.get).error?.code == .unavailable)
        }
    }

    @Test func bytesBehindTheEndNeverReachTheNextRequest() async throws {
        let application = try await self.application { connection, _, record in
            guard endsRequest(record) else { return [] }
            let foreign = connection == 0 ? Records.answer("foreign") : ByteBuffer()
            return [.send(Records.joined(Records.answer("own"), foreign))]
        }
        let backend = self.backend(application) { $0.connections = 1 }
        // The first answer is whole; what follows it spoils the connection, not the next request.
        _ = await backend.answer(self.get)
        #expect(await eventually { application.openCount == 0 })
        #expect(await backend.answer(self.get).text == "own")
        #expect(application.connectionCount == 2)
    }

    @Test func bytesOnAnIdleConnectionCloseIt() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application)
        #expect(await backend.answer(self.get).text == "x")
        try await application.send(Records.answer("unasked"))
        #expect(await eventually { application.openCount == 0 })
        #expect(await backend.answer(self.get).text == "x")
    }

    @Test func bodiesAreHeldToTheirContentLength() async throws {
        let application = try await self.application { _, _, record in
            guard endsRequest(record) else { return [] }
            return [
                .send(Records.joined(Records.output("Content-Length: 3\n\nab"), Records.output("cdef"), Records.end()))
            ]
        }
        let answer = await self.backend(application).answer(self.get)
        #expect(answer.error == nil)
        #expect(answer.text == "abc")
        let head = await self.backend(application).answer(request(["REQUEST_METHOD": "HEAD"]))
        #expect(head.events == ["head", "end"])
    }

    @Test(arguments: [204, 304])
    func someAnswersHaveNoBody(_ status: Int) async throws {
        let application = try await self.application { _, _, record in
            guard endsRequest(record) else { return [] }
            return [.send(Records.joined(Records.output("Status: \(status)\nContent-Length: 9\n\nab"), Records.end()))]
        }
        let answer = await self.backend(application).answer(self.get)
        #expect(answer.events == ["head", "end"])
        #expect(answer.head?.contentLength == (status == 204 ? nil : 9))
    }

    @Test func anAnswerThatDoesNotComeTimesOut() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application) { $0.responseTimeout = .milliseconds(100) }
        #expect(await backend.answer(self.get).error?.code == .timedOut)
        #expect(await eventually { application.openCount == 0 && application.records.last?.type == 2 })
    }

    @Test func anAnswerThatStopsTimesOut() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.output("A: b\n\nsome"))] : []
        }
        let backend = self.backend(application) { $0.ioTimeout = .milliseconds(100) }
        let answer = await backend.answer(self.get)
        #expect(answer.error?.code == .timedOut)
        #expect(answer.text == "some")
    }

    @Test func errorTextAloneIsNoAnswerInTime() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.errorOutput("still here"))] : []
        }
        let backend = self.backend(application) { $0.responseTimeout = .milliseconds(100) }
        #expect(await backend.answer(self.get).error?.code == .timedOut)
    }

    @Test func waitingForTheClientsBodyIsNoTimeOut() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) {
            $0.responseTimeout = .seconds(1)
            $0.ioTimeout = .seconds(1)
        }
        let exchange = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
        try await exchange.writeBody(ByteBuffer(string: "a"))
        try await Task.sleep(for: .seconds(2))
        try await exchange.writeBody(ByteBuffer(string: "b"))
        try await exchange.finishBody()
        let answer = await Answer(exchange)
        #expect(answer.error == nil)
        #expect(answer.text == "x")
        let body = application.records.filter { $0.type == 5 }.map { String(buffer: $0.content) }
        #expect(body == ["a", "b", ""])
    }

    @Test func anAbortIsSentAndNeverACleanEndOfTheBody() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application)
        let exchange = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
        try await exchange.writeBody(ByteBuffer(string: "half"))
        exchange.abort()
        exchange.abort()
        #expect(await eventually { application.openCount == 0 && application.connectionCount == 1 })
        #expect(application.records.map(\.type) == [1, 4, 4, 5, 2])
        await #expect(throws: BackendError.self) { try await exchange.next() }
        await backend.shutDown()
    }

    @Test func anExchangeThatNobodyHoldsIsGivenUp() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application) { $0.connections = 1 }
        _ = try await backend.begin(self.get)
        #expect(await eventually { application.openCount == 0 && application.connectionCount == 1 })
        await backend.shutDown()
    }

    @Test func anEarlyEndSpoilsTheConnectionOfAnUnfinishedBody() async throws {
        let application = try await self.application { connection, _, record in
            let isEarly = connection == 0 && record.type == 5
            return isEarly || endsRequest(record) ? [.send(Records.answer("early"))] : []
        }
        let backend = self.backend(application)
        let exchange = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
        try await exchange.writeBody(ByteBuffer(string: "half"))
        #expect(await Answer(exchange).text == "early")
        try await exchange.writeBody(ByteBuffer(string: "the rest"))
        try await exchange.finishBody()
        #expect(await eventually { application.openCount == 0 })
        #expect(!application.records.contains(where: endsRequest))
        #expect(await backend.answer(self.get).text == "early")
        #expect(application.connectionCount == 2)
    }

    @Test func theNextUpstreamIsTriedAtOnceAndTheLostOneIsUsedAgainLater() async throws {
        let one = try await self.application { _, _, record in endsRequest(record) ? [.send(Records.answer("1"))] : [] }
        let two = try await self.application { _, _, record in endsRequest(record) ? [.send(Records.answer("2"))] : [] }
        let backend = self.backend(one, two) { $0.idleTimeout = .milliseconds(20) }
        try await one.stopListening()
        for _ in 0..<10 { #expect(await backend.answer(self.get).text == "2") }
        try await two.stopListening()
        try await one.listen()
        two.closeConnections()
        var answers: [String] = []
        for _ in 0..<100 where !answers.contains("1") {
            answers.append(await backend.answer(self.get).text)
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(answers.contains("1"))
    }

    @Test func withoutAnyUpstreamTheBackendIsUnavailableAtOnce() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("x"))] : []
        }
        try await application.stopListening()
        let backend = self.backend(application) { $0.connections = 2 }
        await withTaskGroup(of: BackendError.Code?.self) { group in
            for _ in 0..<50 { group.addTask { await backend.answer(self.get).error?.code } }
            for await code in group { #expect(code == .unavailable) }
        }
        try await application.listen()
        #expect(await backend.answer(self.get).text == "x")
        await backend.shutDown()
    }

    @Test func aTCPUpstreamIsReached() async throws {
        let application = try await self.application(overTCP: true) { _, _, record in
            endsRequest(record) ? [.send(Records.answer("tcp"))] : []
        }
        let port = try #require(application.port)
        let configuration = FastCGIBackendConfiguration(upstreams: [.tcp(host: "127.0.0.1", port: port)])
        let backend = FastCGIBackend(configuration: configuration, logger: quietLogger)
        #expect(await backend.answer(self.get).text == "tcp")
        #expect(FastCGIUpstream.tcp(host: "::1", port: 9).description == "[::1]:9")
    }

    @Test func anApplicationThatSpeaksFirstIsGivenUpSoon() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SpeakingFirst())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let configuration = FastCGIBackendConfiguration(upstreams: [.tcp(host: "127.0.0.1", port: port)])
        let backend = FastCGIBackend(configuration: configuration, logger: quietLogger)
        // Whichever comes first, the request or the answer: it ends.
        let answer = await backend.answer(self.get)
        #expect(answer.text == "unasked" || answer.error != nil)
        try await listener.close()
    }

    @Test func aFullLineRefusesAndAnOldPlaceInItExpires() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application) {
            $0.connections = 1
            $0.queueLength = 1
            $0.queueTimeout = .milliseconds(100)
        }
        let first = try await backend.begin(self.get)
        async let second = backend.answer(self.get)
        async let third = backend.answer(self.get)
        let codes = await [second.error?.code, third.error?.code]
        #expect(Set(codes) == [.queueFull, .queueTimedOut])
        first.abort()
        await backend.shutDown()
    }

    @Test func aCancelledWaiterLeavesTheLine() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application) { $0.connections = 1 }
        let first = try await backend.begin(self.get)
        let waiting = Task { await backend.answer(self.get) }
        waiting.cancel()
        #expect(await waiting.value.error?.code == .cancelled)
        first.abort()
        await backend.shutDown()
        #expect(await backend.answer(self.get).error?.code == .unavailable)
    }

    @Test func whoAbortsWaitsNoLonger() async throws {
        let application = try await self.application { _, _, _ in [] }
        let backend = self.backend(application)
        let exchange = try await backend.begin(self.get)
        let waiting = Task { await Answer(exchange) }
        await Task.yield()
        exchange.abort()
        #expect(await waiting.value.error?.code == .cancelled)
    }

    @Test func aShutDownServesThoseInLine() async throws {
        let application = try await self.application { _, request, record in
            endsRequest(record) && request > 0 ? [.send(Records.answer("x"))] : []
        }
        let backend = self.backend(application) { $0.connections = 1 }
        let first = try await backend.begin(self.get)
        async let second = backend.answer(self.get)
        async let third = backend.answer(self.get)
        #expect(await eventually { application.records.contains(where: endsRequest) })
        try await Task.sleep(for: .milliseconds(50))
        async let shutDown: Void = backend.shutDown()
        try await Task.sleep(for: .milliseconds(50))
        try await application.send(Records.answer("x"))
        #expect(await Answer(first).text == "x")
        #expect(await [second.text, third.text] == ["x", "x"])
        await shutDown
        #expect(await eventually { application.openCount == 0 })
    }

    @Test func aParameterThatFitsNoRecordIsRefusedBeforeAnythingIsSent() async throws {
        let application = try await self.application { _, _, _ in [] }
        let tooLong = request(["HTTP_X": String(repeating: "x", count: 65_540)])
        #expect(await self.backend(application).answer(tooLong).error?.code == .malformedRequest)
        #expect(application.connectionCount == 0)
    }

    @Test func scriptsOutsideTheRootAreForbidden() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("ran"))] : []
        }
        let backend = self.backend(application) { $0.root = "/srv/www/" }
        let forbidden = [
            "/etc/passwd", "/srv/www", "/srv/www/", "/srv/wwwx/a.php", "/srv/www/../a.php", "/srv/www/a/../b.php",
            "srv/www/a.php", "", "a.php", "/srv/www/a\n.php", "/srv/www/a\0.php", "proxy:fcgi://x//srv/www/a.php",
            "/srv/www/..", "/srv/www/.", "//srv//www//",
        ]
        for path in forbidden {
            let answer = await backend.answer(request(["SCRIPT_FILENAME": path]))
            #expect(answer.error?.code == .forbidden, "\(path.debugDescription)")
        }
        for path in ["/srv/www/a.php", "/srv//www/./a/b.php", "/srv/www/a..b/..c"] {
            #expect(await backend.answer(request(["SCRIPT_FILENAME": path])).text == "ran", "\(path)")
        }
        #expect(await backend.answer(request(["REQUEST_METHOD": "GET"])).error?.code == .forbidden)
        var twice = request(["SCRIPT_FILENAME": "/srv/www/a.php"])
        twice.parameters.append("SCRIPT_FILENAME", "/etc/passwd")
        #expect(await backend.answer(twice).error?.code == .forbidden)
    }

    @Test func lineFeedsInPathsAreForbiddenAndAnEmptyPathInfoIsNotSent() async throws {
        let application = try await self.application { _, _, record in
            endsRequest(record) ? [.send(Records.answer("ran"))] : []
        }
        let backend = self.backend(application)
        for name in ["PATH_INFO", "SCRIPT_NAME", "SCRIPT_FILENAME"] {
            let answer = await backend.answer(request([(name): "/index.php/a\nb"]))
            #expect(answer.error?.code == .forbidden)
        }
        _ = await backend.answer(request(["SCRIPT_FILENAME": "/x/index.php/y", "PATH_INFO": "", "A": "b"]))
        let parameters = application.records.filter { $0.type == 4 }.map { String(buffer: $0.content) }.joined()
        #expect(parameters.contains("SCRIPT_FILENAME"))
        #expect(!parameters.contains("PATH_INFO"))
    }

    @Test func aSlowConsumerHoldsTheApplicationBack() async throws {
        let piece = ByteBuffer(repeating: 7, count: 60_000)
        let application = try await self.application { _, _, record in
            guard endsRequest(record) else { return [] }
            let body = (0..<100).map { _ in FakeApplication.Step.send(Records.record(6, piece)) }
            return [.send(Records.output("A: b\n\n"))] + body + [.send(Records.end())]
        }
        let backend = self.backend(application) { $0.ioTimeout = .seconds(2) }
        let exchange = try await backend.begin(self.get)
        #expect(await eventually { exchange.hasBufferedEvent })
        // Longer than the time-out: waiting for the client does not count.
        try await Task.sleep(for: .seconds(3))
        let answer = await Answer(exchange)
        #expect(answer.error == nil)
        #expect(answer.body.readableBytes == 6_000_000)
    }

    @Test func anApplicationThatTakesNoBodyHoldsTheWriterBackAndTimesOut() async throws {
        // A listener that never reads.
        let directory = TemporaryDirectory()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .bind(unixDomainSocketPath: "\(directory.path)/deaf.sock").get()
        var configuration = FastCGIBackendConfiguration(upstreams: [.unix(path: "\(directory.path)/deaf.sock")])
        configuration.ioTimeout = .milliseconds(200)
        let backend = FastCGIBackend(configuration: configuration, logger: quietLogger)
        let exchange = try await backend.begin(request(["REQUEST_METHOD": "POST"], body: .streamed))
        async let written: Int = {
            for count in 0..<1_000 {
                if exchange.hasBufferedEvent { return count }
                try await exchange.writeBody(ByteBuffer(repeating: 7, count: 50_000))
            }
            return 1_000
        }()
        #expect(await Answer(exchange).error?.code == .timedOut)
        #expect(try await written < 1_000)
        try await listener.close()
    }
}

private final class SpeakingFirst: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(Records.answer("unasked")), promise: nil)
    }
}

private struct TwoAddresses: Resolver, Sendable {
    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        MultiThreadedEventLoopGroup.singleton.next().makeCompletedFuture {
            try ["127.0.0.9", "127.0.0.1"].map { try SocketAddress(ipAddress: $0, port: port) }
        }
    }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        MultiThreadedEventLoopGroup.singleton.next().makeSucceededFuture([])
    }

    func cancelQueries() {}
}
