import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import Memcached

@Suite struct MemcachedKeyDumpTests {
    private func dump(of process: MemcachedProcess, _ change: (inout MemcachedKeyDump.Configuration) -> Void = { _ in })
        -> MemcachedKeyDump
    {
        var configuration = MemcachedKeyDump.Configuration()
        configuration.connectTimeout = .seconds(5)
        configuration.lineTimeout = .seconds(60)
        change(&configuration)
        return MemcachedKeyDump(
            address: process.address,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            configuration: configuration
        )
    }

    private func fill(_ process: MemcachedProcess, count: Int) async throws {
        var configuration = MemcachedConfiguration.forTests
        configuration.maximumCommandsInFlight = .max
        try await TestClient.withClient(of: process.address, configuration: configuration) { client in
            await client.connected()
            for start in stride(from: 0, to: count, by: 5_000) {
                let commands = (start..<min(start + 5_000, count)).map { index in
                    MemcachedCommand.add(
                        .test(index % 10 == 0 ? "other:\(index)" : "mine:\(index)"),
                        .test("v"),
                        .never
                    )
                }
                for result in try await client.sendAll(commands) { _ = try result.get() }
            }
        }
    }

    @Test func allKeysOfThePrefixComeInBatches() async throws {
        try await MemcachedProcess.withServer { process in
            try await self.fill(process, count: 20_000)
            var keys = Set<MemcachedKey>()
            var shares: [Double] = []
            try await self.dump(of: process).forEachBatch(withPrefix: Array("mine:".utf8)) { batch, share in
                keys.formUnion(batch)
                shares.append(share)
            }
            #expect(keys.count == 18_000)
            #expect(keys.allSatisfy { $0.bytes.starts(with: "mine:".utf8) })
            #expect(shares.count > 1)
            #expect(shares == shares.sorted() && shares.last == 1)
        }
    }

    @Test func anEmptyServerHasNoKeys() async throws {
        try await MemcachedProcess.withServer { process in
            try await self.dump(of: process).forEachBatch(withPrefix: []) { batch, _ in
                Issue.record("\(batch.count) keys")
            }
        }
    }

    @Test func aSlowReaderGetsEverythingAndTheServerServesMeanwhile() async throws {
        try await MemcachedProcess.withServer { process in
            try await self.fill(process, count: 30_000)
            try await TestClient.withClient(of: process.address) { client in
                await client.connected()
                var count = 0
                let dump = self.dump(of: process)
                try await dump.forEachBatch(withPrefix: Array("mine:".utf8)) { batch, _ in
                    if count == 0 {
                        // With the crawler waiting for its reader a worker thread would block within these, and another dump too.
                        for start in stride(from: 0, to: 30_000, by: 1_000) {
                            let commands = (start..<(start + 1_000)).map {
                                MemcachedCommand.get(.test("mine:\($0)"), touch: nil)
                            }
                            for result in try await client.sendAll(commands) { _ = try result.get() }
                        }
                        try await dump.forEachBatch(withPrefix: []) { batch, _ in count -= batch.count }
                        #expect(count == -30_000)
                        count = 0
                    }
                    count += batch.count
                }
                #expect(count == 27_000)
            }
        }
    }

    @Test func moreKeysThanFitComeInSeveralDumpsEachKeyOnce() async throws {
        try await MemcachedProcess.withServer { process in
            try await self.fill(process, count: 5_000)
            var keys = Set<MemcachedKey>()
            var count = 0
            let dump = self.dump(of: process) { $0.maximumKeys = 1_000 }
            try await dump.forEachBatch(withPrefix: Array("mine:".utf8)) { batch, _ in
                keys.formUnion(batch)
                count += batch.count
                #expect(batch.count <= 500)
            }
            #expect(count == 4_500)
            #expect(keys.count == 4_500)
        }
    }

    @Test func anErrorOfTheReaderEndsTheDump() async throws {
        struct Stop: Error {}
        try await MemcachedProcess.withServer { process in
            try await self.fill(process, count: 100)
            let dump = self.dump(of: process)
            await #expect(throws: Stop.self) {
                try await dump.forEachBatch(withPrefix: []) { _, _ in throw Stop() }
            }
        }
    }

    @Test func aServerThatAdmitsNoDumpsIsAnError() async throws {
        try await MemcachedProcess.withServer(["-X"]) { process in
            let dump = self.dump(of: process)
            let error = await #expect(throws: MemcachedError.self) {
                try await dump.forEachBatch(withPrefix: []) { _, _ in }
            }
            #expect(error?.code == .unusableServer)
        }
    }

    @Test func aStoppedServerTimesOut() async throws {
        try await MemcachedProcess.withServer { process in
            try await process.stop()
            let dump = self.dump(of: process) { $0.lineTimeout = .milliseconds(100) }
            let error = await #expect(throws: MemcachedError.self) {
                try await dump.forEachBatch(withPrefix: []) { _, _ in }
            }
            #expect(error?.code == .timedOut)
        }
    }

    @Test func aServerThatIsNotThereIsAnError() async throws {
        let dump = MemcachedKeyDump(
            address: .unix(path: "/nonexistent/socket"),
            eventLoop: MultiThreadedEventLoopGroup.singleton.next()
        )
        let error = await #expect(throws: MemcachedError.self) {
            try await dump.forEachBatch(withPrefix: []) { _, _ in }
        }
        #expect(error?.code == .connectFailed)
    }

    /// Answers the first connections with BUSY, later ones with two keys.
    private func withBusyServer(times: Int, _ body: (MemcachedAddress) async throws -> Void) async throws {
        final class Answer: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            typealias OutboundOut = ByteBuffer
            let text: String

            init(_ text: String) {
                self.text = text
            }

            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: self.text)), promise: nil)
            }
        }
        let connections = NIOLockedValueBox(0)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                let isBusy = connections.withLockedValue {
                    $0 += 1
                    return $0 <= times
                }
                return channel.eventLoop.makeCompletedFuture {
                    let text =
                        isBusy ? "BUSY currently processing crawler request\r\n" : "key=a exp=-1\nkey=b exp=-1\nEND\r\n"
                    try channel.pipeline.syncOperations.addHandler(Answer(text))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body(.tcp(host: "127.0.0.1", port: channel.localAddress?.port ?? 0))
            try await channel.close()
        } catch {
            try await channel.close()
            throw error
        }
    }

    @Test func aBusyServerIsAskedAgain() async throws {
        var configuration = MemcachedKeyDump.Configuration()
        configuration.connectTimeout = .seconds(5)
        configuration.lineTimeout = .seconds(60)
        configuration.attempts = 4
        configuration.busyPause = .milliseconds(1)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        try await self.withBusyServer(times: 3) { address in
            var keys = [MemcachedKey]()
            let dump = MemcachedKeyDump(address: address, eventLoop: loop, configuration: configuration)
            try await dump.forEachBatch(withPrefix: []) { batch, _ in keys += batch }
            #expect(keys == [.test("a"), .test("b")])
        }
        try await self.withBusyServer(times: 4) { address in
            let dump = MemcachedKeyDump(address: address, eventLoop: loop, configuration: configuration)
            let error = await #expect(throws: MemcachedError.self) {
                try await dump.forEachBatch(withPrefix: []) { _, _ in }
            }
            #expect(error?.code == .busy)
        }
    }

    @Test func twoDumpsAtTheSameTimeBothEnd() async throws {
        try await MemcachedProcess.withServer { process in
            try await self.fill(process, count: 30_000)
            let dump = self.dump(of: process) { $0.attempts = 1_000 }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var count = 0
                        try await dump.forEachBatch(withPrefix: Array("mine:".utf8)) { batch, _ in count += batch.count
                        }
                        return count
                    }
                }
                for try await count in group { #expect(count == 27_000) }
            }
        }
    }

    @Test func cancellingEndsTheDump() async throws {
        try await MemcachedProcess.withServer { process in
            try await process.stop()
            let dump = self.dump(of: process)
            let task = Task { try await dump.forEachBatch(withPrefix: []) { _, _ in } }
            task.cancel()
            let error = await #expect(throws: MemcachedError.self) { try await task.value }
            #expect([.cancelled, .connectFailed].contains(error?.code))
        }
    }
}
