import Glibc
import NIOCore
import Testing

@testable import Memcached

@Suite struct MemcachedServerTests {
    @Test(arguments: [false, true]) func whatIsAddedIsReadBackWithItsTokenAndTimeToLive(overTCP: Bool) async throws {
        try await MemcachedProcess.withServer(overTCP: overTCP) { process in
            try await TestClient.withClient(of: process.address) { client in
                let number = await client.connected()
                let key = MemcachedKey.test("a-key")
                #expect(try await client.reply(.get(key, touch: nil)) == .miss)
                let value = MemcachedValue(head: ByteBuffer(string: "head "), body: ByteBuffer(string: "body\r\n\0"))
                guard case .stored(let token) = try await client.reply(.add(key, value, .seconds(100))) else {
                    Issue.record("not stored")
                    return
                }
                let outcome = await client.send(.get(key, touch: nil))
                #expect(outcome.connection == number)
                guard case .hit(let bytes, let seen, let seconds) = try outcome.result.get() else {
                    Issue.record("no hit")
                    return
                }
                #expect(String(buffer: bytes) == "head body\r\n\0")
                #expect(seen == token)
                #expect((98...100).contains(seconds ?? 0))
            }
        }
    }

    // "localhost" may have an address where nobody listens: several channels are tried then.
    @Test func aHostNameIsLookedUp() async throws {
        try await MemcachedProcess.withServer(overTCP: true) { process in
            guard case .tcp(_, let port) = process.address else { return }
            try await TestClient.withClient(of: .tcp(host: "localhost", port: port)) { client in
                await client.connected()
                let reply = try await client.reply(.noop)
                #expect(reply == .noop)
            }
        }
    }

    @Test func aCompletionMayCloseTheServer() async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let results: [Result<MemcachedReply, MemcachedError>] = await withCheckedContinuation { continuation in
                    client.loop.execute {
                        client.server.send(.noop) { first, _ in
                            _ = client.server.close()
                            client.server.send(.noop) { third, _ in continuation.resume(returning: [first, third]) }
                        }
                        client.server.send(.noop) { _, _ in }
                    }
                }
                let first = try results[0].get()
                #expect(first == .noop)
                let error = #expect(throws: MemcachedError.self) { try results[1].get() }
                #expect(error?.code == .notConnected)
            }
        }
    }

    @Test func aSecondAddIsNotStored() async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let key = MemcachedKey.test("k")
                _ = try await client.reply(.add(key, .test("first"), .never))
                #expect(try await client.reply(.add(key, .test("second"), .never)) == .notStored)
                guard case .hit(let bytes, _, let seconds) = try await client.reply(.get(key, touch: nil)) else {
                    Issue.record("no hit")
                    return
                }
                #expect(String(buffer: bytes) == "first")
                #expect(seconds == nil)
            }
        }
    }

    @Test func aCompareAndSetStoresOnlyOverTheItemOfItsToken() async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let key = MemcachedKey.test("k")
                guard case .stored(let first) = try await client.reply(.add(key, .test("1"), .seconds(9))),
                    case .stored(let second) = try await client.reply(
                        .compareAndSet(key, .test("2"), token: first, .seconds(9))
                    )
                else {
                    Issue.record("not stored")
                    return
                }
                #expect(first != second)
                #expect(try await client.reply(.compareAndSet(key, .test("3"), token: first, .seconds(9))) == .exists)
                #expect(
                    try await client.reply(.compareAndSet(.test("other"), .test("3"), token: first, .never))
                        == .notFound
                )
            }
        }
    }

    @Test func aDeleteTakesOnlyTheItemOfItsToken() async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let key = MemcachedKey.test("k")
                guard case .stored(let token) = try await client.reply(.add(key, .test("1"), .seconds(9))) else {
                    Issue.record("not stored")
                    return
                }
                #expect(try await client.reply(.delete(key, token: token + 1)) == .exists)
                #expect(try await client.reply(.delete(key, token: token)) == .deleted)
                #expect(try await client.reply(.delete(key, token: token)) == .notFound)
            }
        }
    }

    @Test func aTouchStartsTheTimeToLiveAnewAndKeepsTheToken() async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let key = MemcachedKey.test("k")
                guard case .stored(let token) = try await client.reply(.add(key, .test("v"), .seconds(10))),
                    case .hit(_, let touched, let seconds) = try await client.reply(.get(key, touch: .seconds(500)))
                else {
                    Issue.record("not stored or not read")
                    return
                }
                #expect(touched == token)
                // The answer tells what was left before the touch.
                #expect((8...10).contains(seconds ?? 0))
                let farAway = MemcachedExpiry.seconds(MemcachedExpiry.longestRelativeSeconds + 1_000)
                guard case .hit(_, token, let medium) = try await client.reply(.get(key, touch: farAway)),
                    case .hit(_, token, let long) = try await client.reply(.get(key, touch: nil))
                else {
                    Issue.record("the item is gone after a touch of more than 30 days")
                    return
                }
                #expect((490...500).contains(medium ?? 0))
                #expect((2_592_990...2_593_002).contains(long ?? 0))
            }
        }
    }

    @Test(arguments: [0, 1, 4_095, 4_096, 4_097, 40_000, 400_000]) func aBlobOfAllByteValuesComesBackWhole(
        length: Int
    ) async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
                let value = MemcachedValue(head: ByteBuffer(string: "h"), body: ByteBuffer(bytes: bytes))
                _ = try await client.reply(.add(.test("blob"), value, .never))
                guard case .hit(let read, _, _) = try await client.reply(.get(.test("blob"), touch: nil)) else {
                    Issue.record("no hit")
                    return
                }
                #expect(read.readableBytesView.elementsEqual([UInt8(ascii: "h")] + bytes))
            }
        }
    }

    @Test func aValueThatTheServerWouldRefuseIsNotSent() async throws {
        try await MemcachedProcess.withServer(["-I", "2m"]) { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                let key = MemcachedKey.test("k")
                let longest = (2 << 20) - 48 - 8 - 2 - 2
                let fits = MemcachedValue(head: ByteBuffer(repeating: 1, count: longest))
                let tooLong = MemcachedValue(head: ByteBuffer(repeating: 1, count: longest + 1))
                guard case .stored(let token) = try await client.reply(.add(key, fits, .never)) else {
                    Issue.record("the longest value was refused")
                    return
                }
                let outcome = await client.send(.compareAndSet(key, tooLong, token: token, .never))
                let error = #expect(throws: MemcachedError.self) { try outcome.result.get() }
                #expect(error?.code == .valueTooLarge)
                #expect(error?.mayHaveReachedServer == false)
                guard case .hit = try await client.reply(.get(key, touch: nil)) else {
                    Issue.record("the old value is gone")
                    return
                }
            }
        }
    }

    @Test func outOfMemoryIsAnAnswerAndTheConnectionGoesOn() async throws {
        try await MemcachedProcess.withServer(["-M", "-m", "1", "-I", "512k"]) { process in
            try await TestClient.withClient(of: process.address) { client in
                let number = await client.connected()
                let value = MemcachedValue(head: ByteBuffer(repeating: 7, count: 400_000))
                var replies = [MemcachedReply]()
                for index in 0..<200 where replies.last != .serverError(.outOfMemory) {
                    replies.append(try await client.reply(.add(.test("k\(index)"), value, .never)))
                }
                #expect(replies.last == .serverError(.outOfMemory))
                let outcome = await client.send(.noop)
                #expect(try outcome.result.get() == .noop)
                #expect(outcome.connection == number)
            }
        }
    }

    @Test func tenThousandPipelinedCommandsAreAnsweredInOrder() async throws {
        try await MemcachedProcess.withServer { process in
            var configuration = MemcachedConfiguration.forTests
            configuration.maximumCommandsInFlight = 10_000
            try await TestClient.withClient(of: process.address, configuration: configuration) { client in
                await client.connected()
                let writes = (0..<5_000).map { index in
                    MemcachedCommand.add(.test("k\(index)"), .test("value \(index)"), .seconds(100))
                }
                let reads = (0..<5_000).map { MemcachedCommand.get(.test("k\($0)"), touch: nil) }
                let results = try await client.sendAll(writes + reads)
                try #require(results.count == 10_000)
                for index in 0..<5_000 {
                    guard case .success(.stored(let token)) = results[index],
                        case .success(.hit(let value, token, _)) = results[5_000 + index],
                        String(buffer: value) == "value \(index)"
                    else {
                        Issue.record("command \(index): \(results[index]), \(results[5_000 + index])")
                        return
                    }
                }
            }
        }
    }

    @Test func commandsBeyondTheLimitAreRefusedAtOnceAndTheOthersAnswered() async throws {
        try await MemcachedProcess.withServer { process in
            var configuration = MemcachedConfiguration.forTests
            configuration.maximumCommandsInFlight = 100
            try await TestClient.withClient(of: process.address, configuration: configuration) { client in
                await client.connected()
                let results = try await client.sendAll(Array(repeating: .noop, count: 150))
                // Refusals complete before send returns, so they come first.
                for result in results.prefix(50) {
                    let error = #expect(throws: MemcachedError.self) { try result.get() }
                    #expect(error?.code == .queueFull)
                    #expect(error?.mayHaveReachedServer == false)
                }
                for result in results.dropFirst(50) {
                    let reply = try result.get()
                    #expect(reply == .noop)
                }
            }
        }
    }

    @Test func theGreetingIsAnsweredBeforeTheServerIsAvailable() async throws {
        try await MemcachedProcess.withServer { process in
            let key = MemcachedKey.test("!life")
            try await TestClient.withClient(of: process.address, greeting: .get(key, touch: nil)) { client in
                guard case .connected(_, let reply) = await client.event() else {
                    Issue.record("not connected")
                    return
                }
                #expect(reply == .miss)
                let isAvailable = try await client.isAvailable()
                #expect(isAvailable)
                #expect(client.logLines(with: "available").count == 1)
            }
        }
    }

    @Test func aStoppedServerTimesOutIsHeldDownAndComesBack() async throws {
        try await MemcachedProcess.withServer(overTCP: true) { process in
            var configuration = MemcachedConfiguration.forTests
            configuration.operationTimeout = .seconds(1)
            try await TestClient.withClient(of: process.address, configuration: configuration) { client in
                guard let first = await client.connected() else { return }
                try await process.stop()
                let clock = ContinuousClock()
                let start = clock.now
                let outcome = await client.send(.get(.test("k"), touch: nil))
                let waited = clock.now - start
                let error = #expect(throws: MemcachedError.self) { try outcome.result.get() }
                #expect(error?.code == .timedOut)
                #expect(waited >= .seconds(1))
                #expect(await client.event() == .disconnected(first))
                // The stopped server accepts connections, but does not answer the greeting.
                for _ in 0..<3 {
                    let refused = await client.send(.noop)
                    let error = #expect(throws: MemcachedError.self) { try refused.result.get() }
                    #expect(error?.code == .heldDown)
                    #expect(error?.mayHaveReachedServer == false)
                    try await Task.sleep(for: .milliseconds(50))
                }
                process.signal(SIGCONT)
                let second = await client.connected()
                #expect(second != first)
                #expect(try await client.reply(.noop) == .noop)
                #expect(client.logLines(with: "is down").count == 1)
                #expect(client.logLines(with: "is available").count == 2)
                #expect(client.logLines(with: "\(process.address)").count == client.logLines.count)
            }
        }
    }

    @Test func aStoppedServerIsNoticedWithoutARequest() async throws {
        try await MemcachedProcess.withServer { process in
            var configuration = MemcachedConfiguration()
            configuration.operationTimeout = .milliseconds(300)
            configuration.heartbeatInterval = .milliseconds(50)
            try await TestClient.withClient(of: process.address, configuration: configuration) { client in
                guard let first = await client.connected() else { return }
                try await process.stop()
                #expect(await client.event() == .disconnected(first))
            }
        }
    }

    @Test func whatIsInFlightWhenTheServerIsKilledFailsAndARestartedOneIsFoundAgain() async throws {
        try await MemcachedProcess.withServer(overTCP: true) { process in
            let key = MemcachedKey.test("marker")
            try await TestClient.withClient(of: process.address, greeting: .get(key, touch: nil)) { client in
                guard let first = await client.connected() else { return }
                guard case .stored(let token) = try await client.reply(.add(key, .test("here"), .never)) else {
                    Issue.record("not stored")
                    return
                }
                try await process.stop()
                let unanswered = try await client.submit([.noop, .get(key, touch: nil)])
                process.kill()
                for result in try await unanswered.get() {
                    let error = #expect(throws: MemcachedError.self) { try result.get() }
                    #expect(error?.code == .connectionClosed)
                    #expect(error?.mayHaveReachedServer == true)
                }
                #expect(await client.event() == .disconnected(first))
                try await process.launch()
                guard case .connected(let second, let greeting) = await client.event() else {
                    Issue.record("not connected again")
                    return
                }
                #expect(second != first)
                #expect(greeting == .miss)
                let stale = await client.send(.compareAndSet(key, .test("x"), token: token, .never), only: first)
                let error = #expect(throws: MemcachedError.self) { try stale.result.get() }
                #expect(error?.code == .connectionClosed)
                #expect(error?.mayHaveReachedServer == false)
            }
        }
    }

    @Test func aServerWithoutCASIsHeldDownWithTheReason() async throws {
        try await MemcachedProcess.withServer(["-C"]) { process in
            try await TestClient.withClient(of: process.address) { client in
                while client.logLines.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
                #expect(client.logLines.first?.contains("without CAS") == true)
                #expect(try await client.isAvailable() == false)
            }
        }
    }

    @Test func aServerThatWasNeverThereIsNotConnectedAndThenHeldDown() async throws {
        let address = MemcachedAddress.unix(path: "/nonexistent/socket")
        try await TestClient.withClient(of: address) { client in
            while client.logLines.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            let outcome = await client.send(.noop)
            let error = #expect(throws: MemcachedError.self) { try outcome.result.get() }
            #expect(error?.code == .heldDown)
            await client.close()
            let afterwards = await client.send(.noop)
            let second = #expect(throws: MemcachedError.self) { try afterwards.result.get() }
            #expect(second?.code == .notConnected)
        }
    }

    @Test func closingFailsWhatIsInFlight() async throws {
        try await MemcachedProcess.withServer { process in
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                try await process.stop()
                let unanswered = try await client.submit([.get(.test("k"), touch: nil)])
                await client.close()
                for result in try await unanswered.get() {
                    let error = #expect(throws: MemcachedError.self) { try result.get() }
                    #expect(error?.code == .connectionClosed)
                }
            }
        }
    }
}
