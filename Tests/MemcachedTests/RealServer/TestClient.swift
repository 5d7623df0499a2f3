import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

@testable import Memcached

/// A `MemcachedServer` on a loop of the process, driven from a test's task.
final class TestClient: Sendable {
    enum Event: Sendable, Equatable {
        case connected(ConnectionNumber, MemcachedReply?)
        case disconnected(ConnectionNumber)
    }

    typealias Outcome = (result: Result<MemcachedReply, MemcachedError>, connection: ConnectionNumber?)

    let loop: any EventLoop
    let server: MemcachedServer
    private let log = NIOLockedValueBox<[String]>([])
    private let events: AsyncStream<Event>

    static func withClient<Result>(
        of address: MemcachedAddress,
        configuration: MemcachedConfiguration = .forTests,
        greeting: MemcachedCommand? = nil,
        _ body: (TestClient) async throws -> Result
    ) async throws -> Result {
        let client = TestClient(of: address, configuration: configuration, greeting: greeting)
        client.loop.execute { client.server.start() }
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    private init(of address: MemcachedAddress, configuration: MemcachedConfiguration, greeting: MemcachedCommand?) {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self)
        let log = self.log
        var logger = Logger(label: "test") { _ in RecordingLogHandler(lines: log) }
        logger.logLevel = .notice
        self.loop = loop
        self.events = stream
        self.server = MemcachedServer(
            address: address,
            eventLoop: loop,
            configuration: configuration,
            logger: logger,
            greeting: greeting,
            onConnected: { continuation.yield(.connected($0, $1)) },
            onDisconnected: { continuation.yield(.disconnected($0)) }
        )
    }

    /// What was logged at `notice` and above.
    var logLines: [String] { self.log.withLockedValue { $0 } }

    func logLines(with text: String) -> [String] { self.logLines.filter { $0.contains(text) } }

    /// The next event; waits for it. One task at a time asks.
    func event() async -> Event? {
        for await event in self.events { return event }
        return nil
    }

    /// Waits until the server is available, whatever happens before.
    @discardableResult
    func connected() async -> ConnectionNumber? {
        while let event = await self.event() {
            if case .connected(let number, _) = event { return number }
        }
        return nil
    }

    func send(_ command: MemcachedCommand, only: ConnectionNumber? = nil) async -> Outcome {
        await withCheckedContinuation { continuation in
            self.loop.execute {
                self.server.send(command, only: only) { continuation.resume(returning: ($0, $1)) }
            }
        }
    }

    /// Sends all in one turn of the loop.
    ///
    /// - Returns: once they are in flight; the future never fails.
    func submit(
        _ commands: [MemcachedCommand]
    ) async throws -> EventLoopFuture<[Result<MemcachedReply, MemcachedError>]> {
        let promise = self.loop.makePromise(of: [Result<MemcachedReply, MemcachedError>].self)
        try await self.loop.submit {
            let results = NIOLockedValueBox([Result<MemcachedReply, MemcachedError>]())
            for command in commands {
                self.server.send(command) { result, _ in
                    let all = results.withLockedValue {
                        $0.append(result)
                        return $0.count == commands.count ? $0 : nil
                    }
                    if let all { promise.succeed(all) }
                }
            }
        }.get()
        return promise.futureResult
    }

    func sendAll(_ commands: [MemcachedCommand]) async throws -> [Result<MemcachedReply, MemcachedError>] {
        try await self.submit(commands).get()
    }

    func reply(_ command: MemcachedCommand, only: ConnectionNumber? = nil) async throws -> MemcachedReply {
        try await self.send(command, only: only).result.get()
    }

    func isAvailable() async throws -> Bool {
        try await self.loop.submit { self.server.isAvailable }.get()
    }

    func close() async {
        try? await self.loop.flatSubmit { self.server.close() }.get()
    }
}

extension MemcachedConfiguration {
    /// Generous enough for a busy machine, and without signs of life that would take a place in the queue: tests of either
    /// set their own.
    static var forTests: MemcachedConfiguration {
        var configuration = MemcachedConfiguration()
        configuration.connectTimeout = .seconds(5)
        configuration.operationTimeout = .seconds(60)
        configuration.heartbeatInterval = .seconds(600)
        return configuration
    }
}

struct RecordingLogHandler: LogHandler {
    let lines: NIOLockedValueBox<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.notice

    init(lines: NIOLockedValueBox<[String]>) {
        self.lines = lines
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let line = "\(event.level) \(event.message) \(event.metadata ?? [:])"
        self.lines.withLockedValue { $0.append(line) }
    }
}

extension MemcachedKey {
    static func test(_ text: String) -> MemcachedKey {
        guard let key = MemcachedKey(text) else { preconditionFailure("not a key: \(text)") }
        return key
    }
}

extension MemcachedValue {
    static func test(_ text: String) -> MemcachedValue {
        MemcachedValue(head: ByteBuffer(), body: ByteBuffer(string: text))
    }
}
