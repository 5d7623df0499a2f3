import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A FastCGI application whose every byte a test decides.
final class FakeApplication: Sendable {
    /// A record as it came in.
    struct Record: Sendable, Equatable {
        var type: UInt8
        var content: ByteBuffer
    }

    /// What the application does when a record comes in.
    enum Step: Sendable {
        case send(ByteBuffer)
        case close
        /// What comes next stays unread.
        case stopReading
    }

    /// - connection: counted from 0.
    /// - request: on this connection, counted from 0.
    typealias Behavior = @Sendable (_ connection: Int, _ request: Int, _ record: Record) -> [Step]

    private struct State {
        var connections = 0
        var open = 0
        var records: [Record] = []
        var channels: [any Channel] = []
    }

    let directory = TemporaryDirectory()
    var path: String { "\(self.directory.path)/app.sock" }
    private let state = Mutex(State())
    private let listener = Mutex<(any Channel)?>(nil)
    private let behavior: Behavior

    private let isOverTCP: Bool

    init(overTCP isOverTCP: Bool = false, _ behavior: @escaping Behavior) async throws {
        self.isOverTCP = isOverTCP
        self.behavior = behavior
        try await self.listen()
    }

    /// Until then the listener keeps the application.
    func stop() {
        self.listener.withLock { listener in
            listener?.close(promise: nil)
            listener = nil
        }
        self.closeConnections()
    }

    var port: Int? { self.listener.withLock { $0?.localAddress?.port } }
    var connectionCount: Int { self.state.withLock { $0.connections } }
    var openCount: Int { self.state.withLock { $0.open } }
    var records: [Record] { self.state.withLock { $0.records } }

    func listen() async throws {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(self, self.accepted(channel)))
                }
            }
        let channel =
            self.isOverTCP
            ? try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
            : try await bootstrap.bind(unixDomainSocketPath: self.path, cleanupExistingSocketFile: true).get()
        self.listener.withLock { $0 = channel }
    }

    func stopListening() async throws {
        let channel = self.listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        try await channel?.close()
    }

    func closeConnections() {
        for channel in self.state.withLock({ $0.channels }) { channel.close(promise: nil) }
    }

    /// Sends bytes on every connection that is open.
    func send(_ bytes: ByteBuffer) async throws {
        for channel in self.state.withLock({ $0.channels }) where channel.isActive {
            try await channel.writeAndFlush(bytes)
        }
    }

    private func accepted(_ channel: any Channel) -> Int {
        self.state.withLock { state in
            state.connections += 1
            state.open += 1
            state.channels.append(channel)
            return state.connections - 1
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        let application: FakeApplication
        let behavior: Behavior
        let connection: Int
        var request = 0
        var pending = ByteBuffer()

        init(_ application: FakeApplication, _ connection: Int) {
            self.application = application
            self.behavior = application.behavior
            self.connection = connection
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = self.unwrapInboundIn(data)
            self.pending.writeBuffer(&bytes)
            while let record = self.nextRecord() {
                self.application.state.withLock { $0.records.append(record) }
                for step in self.behavior(self.connection, self.request, record) {
                    switch step {
                    case .send(let bytes): context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
                    case .close: context.close(promise: nil)
                    case .stopReading:
                        context.channel.setOption(.autoRead, value: false).whenFailure { _ in }
                    }
                }
                if record.type == 5, record.content.readableBytes == 0 { self.request += 1 }
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            self.application.state.withLock { $0.open -= 1 }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        private func nextRecord() -> Record? {
            guard let length = self.pending.getInteger(at: self.pending.readerIndex + 4, as: UInt16.self),
                let padding = self.pending.getInteger(at: self.pending.readerIndex + 6, as: UInt8.self),
                self.pending.readableBytes >= 8 + Int(length) + Int(padding),
                let header = self.pending.readBytes(length: 8),
                let content = self.pending.readSlice(length: Int(length))
            else { return nil }
            self.pending.moveReaderIndex(forwardBy: Int(padding))
            return Record(type: header[1], content: content)
        }
    }
}

/// Records that applications send.
enum Records {
    static func record(_ type: UInt8, _ content: ByteBuffer, id: UInt16 = 1, version: UInt8 = 1) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(version, type, id, UInt16(content.readableBytes), UInt8(0), UInt8(0))
        buffer.writeImmutableBuffer(content)
        return buffer
    }

    static func output(_ text: String) -> ByteBuffer { self.record(6, ByteBuffer(string: text)) }
    static func errorOutput(_ text: String) -> ByteBuffer { self.record(7, ByteBuffer(string: text)) }
    static func end(status: UInt8 = 0) -> ByteBuffer {
        self.record(3, ByteBuffer(bytes: [0, 0, 0, 0, status, 0, 0, 0]))
    }

    static func joined(_ records: ByteBuffer...) -> ByteBuffer {
        records.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }

    /// A whole answer in one piece.
    static func answer(_ text: String) -> ByteBuffer {
        self.joined(self.output("A: b\n\n\(text)"), self.end())
    }
}

/// The record that ends a request's body.
func endsRequest(_ record: FakeApplication.Record) -> Bool {
    record.type == 5 && record.content.readableBytes == 0
}

/// Waits for what happens on its own soon; `false` after five seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
    for _ in 0..<1_000 {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}
