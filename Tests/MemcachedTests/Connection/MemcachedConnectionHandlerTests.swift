import DequeModule
import NIOCore
import NIOEmbedded
import Testing

@testable import Memcached

@Suite struct MemcachedConnectionHandlerTests {
    /// Counts flushes, and takes the writes of each.
    private final class Outbox: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        private var unflushed = [ByteBuffer]()
        var flushes = [[ByteBuffer]]()

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            self.unflushed.append(self.unwrapOutboundIn(data))
            promise?.succeed()
        }

        func flush(context: ChannelHandlerContext) {
            self.flushes.append(self.unflushed)
            self.unflushed = []
        }
    }

    private final class Connection {
        let channel = EmbeddedChannel()
        let outbox = Outbox()
        private(set) var handler: MemcachedConnectionHandler!
        var outcomes = [String]()
        var ending: MemcachedError?

        init(_ configuration: MemcachedConfiguration = MemcachedConfiguration()) throws {
            self.handler = MemcachedConnectionHandler(
                number: ConnectionNumber(rawValue: 1),
                configuration: configuration,
                unixTime: { 0 },
                ended: { [weak self] _, error, failed in
                    guard let self else { return }
                    #expect(self.ending == nil)
                    self.ending = error
                    for failed in failed { failed.waiter.complete(.failure(failed.error), nil) }
                }
            )
            self.channel.connect(to: try SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
            try self.channel.pipeline.syncOperations.addHandlers([self.outbox, self.handler])
        }

        deinit {
            _ = try? self.channel.finish(acceptAlreadyClosed: true)
        }

        func submit(_ command: MemcachedCommand, name: String = "", then: @escaping () -> Void = {}) {
            self.handler.submit(command) { [weak self] result, _ in
                guard let self else { return }
                switch result {
                case .success(let reply): self.outcomes.append("\(name)\(reply)")
                case .failure(let error): self.outcomes.append("\(name)\(error.code.rawValue)")
                }
                then()
            }
        }

        func receive(_ text: String) throws {
            try self.channel.writeInbound(ByteBuffer(string: text))
        }

        func advance(_ milliseconds: Int64) {
            self.channel.embeddedEventLoop.advanceTime(by: .milliseconds(milliseconds))
        }

        var sent: [[String]] { self.outbox.flushes.map { $0.map { String(buffer: $0) } } }
    }

    @Test func theWritesOfATurnLeaveInOneBufferWithOneFlush() throws {
        let connection = try Connection()
        connection.submit(.get(.test("a"), touch: nil))
        connection.submit(.add(.test("b"), .test("value"), .seconds(5)))
        connection.submit(.noop)
        #expect(connection.sent == [])
        connection.channel.embeddedEventLoop.run()
        #expect(connection.sent == [["mg a v t c O1\r\nms b 5 T5 ME c O2\r\nvalue\r\nmn\r\n"]])
        connection.submit(.noop)
        connection.channel.embeddedEventLoop.run()
        #expect(connection.sent.last == ["mn\r\n"])
        #expect(connection.sent.count == 2)
    }

    @Test func aLargeBodyIsNotCopied() throws {
        let connection = try Connection()
        let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: 10_000)
        connection.submit(.add(.test("k"), MemcachedValue(head: ByteBuffer(string: "h"), body: body), .never))
        connection.submit(.noop)
        connection.channel.embeddedEventLoop.run()
        let flush = try #require(connection.outbox.flushes.first)
        #expect(connection.outbox.flushes.count == 1)
        try #require(flush.count == 3)
        #expect(String(buffer: flush[0]) == "ms k 10001 T0 ME c O1\r\nh")
        let addresses = (
            flush[1].withUnsafeReadableBytes { $0.baseAddress }, body.withUnsafeReadableBytes { $0.baseAddress }
        )
        #expect(addresses.0 == addresses.1)
        #expect(String(buffer: flush[2]) == "\r\nmn\r\n")
    }

    @Test func anAnswerMaySubmitTheNextCommand() throws {
        let connection = try Connection()
        connection.submit(.noop) { connection.submit(.version) }
        try connection.receive("MN\r\n")
        connection.channel.embeddedEventLoop.run()
        try connection.receive("VERSION 1.6.18\r\n")
        #expect(connection.outcomes == ["noop", "version(\"1.6.18\")"])
    }

    @Test func oneTimerClosesTheConnectionAtTheOldestDeadline() throws {
        let connection = try Connection()
        connection.submit(.noop, name: "a ")
        connection.advance(60)
        connection.submit(.noop, name: "b ")
        connection.advance(39)
        #expect(connection.outcomes == [])
        connection.advance(2)
        #expect(connection.outcomes == ["a timedOut", "b connectionClosed"])
        #expect(connection.ending?.code == .timedOut)
        #expect(!connection.channel.isActive)
        connection.submit(.noop, name: "c ")
        #expect(connection.outcomes.last == "c connectionClosed")
    }

    @Test func answersInTimeKeepTheConnection() throws {
        let connection = try Connection()
        for _ in 0..<20 {
            connection.submit(.noop)
            connection.advance(90)
            try connection.receive("MN\r\n")
        }
        #expect(connection.outcomes == Array(repeating: "noop", count: 20))
        #expect(connection.ending == nil)
    }

    @Test func anIdleConnectionIsAskedOnceASecondAndClosedWithoutAnAnswer() throws {
        let connection = try Connection()
        connection.advance(999)
        #expect(connection.sent == [])
        connection.advance(1)
        #expect(connection.sent == [["mn\r\n"]])
        try connection.receive("MN\r\n")
        connection.advance(1_000)
        #expect(connection.sent == [["mn\r\n"], ["mn\r\n"]])
        connection.advance(101)
        #expect(connection.ending?.code == .timedOut)
    }

    @Test func aBusyConnectionIsNotAskedForASignOfLife() throws {
        let connection = try Connection()
        for _ in 0..<30 {
            connection.submit(.version)
            connection.advance(10)
            try connection.receive("VERSION 1.6.18\r\n")
            connection.advance(90)
        }
        #expect(connection.sent.allSatisfy { $0 == ["version\r\n"] })
    }

    @Test(arguments: ["garbage\r\n", "MN\r\nMN\r\n", "ERROR\r\n", "EN O1\r\n"])
    func aServerThatIsOutOfStepIsClosed(text: String) throws {
        let connection = try Connection()
        connection.submit(.noop)
        try connection.receive(text)
        #expect(connection.ending?.code == .outOfStep)
        #expect(!connection.channel.isActive)
    }

    @Test func whatIsInFlightFailsWhenTheServerCloses() throws {
        let connection = try Connection()
        connection.submit(.get(.test("k"), touch: nil))
        try connection.receive("VA 3 t1 c1 O1\r\nab")
        connection.channel.pipeline.fireChannelInactive()
        #expect(connection.outcomes == ["connectionClosed"])
        #expect(connection.ending?.code == .connectionClosed)
    }
}
