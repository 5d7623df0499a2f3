import CGI
import Foundation
import GatewayTesting
import Glibc
import Logging
import NIOCore
import Synchronization

@testable import Responder

/// A responder on a unix socket and a loopback port of its own, with a handler from the test.
struct Harness: Sendable {
    let responder: Responder
    let folder: TemporaryFolder
    let port: Int

    var path: String { self.folder.path + "/socket" }

    func connect() throws -> RawClient { try RawClient(unix: self.path) }
    func connectTCP() throws -> RawClient { try RawClient(port: self.port) }

    /// A refusal is counted right after its connection has been closed.
    func expectRefusals(_ expected: [RefusalReason: Int]) async throws {
        try await Eventually.holds("the refusals \(expected)") { self.responder.statistics.refusals == expected }
    }

    /// Runs a responder around the body, shuts it down afterwards, and waits for it and for all handlers.
    static func run(
        _ change: (inout ResponderConfiguration) -> Void = { _ in },
        handler: @escaping @Sendable (IncomingRequest) async throws -> Void,
        _ body: (Harness) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        var configuration = ResponderConfiguration(listeners: [
            .init(.unix(path: folder.path + "/socket")), .init(.tcp(host: "127.0.0.1", port: 0)),
        ])
        change(&configuration)
        let (requests, source) = AsyncStream<IncomingRequest>.makeStream()
        let responder = try Responder(
            configuration: configuration,
            handler: StreamHandler(source: source),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let ports = responder.listeners.compactMap { listener in
            if case .tcp(_, let port) = listener.address { port } else { nil }
        }
        let harness = Harness(responder: responder, folder: folder, port: ports.first ?? 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await responder.run() }
            group.addTask {
                await withDiscardingTaskGroup { handlers in
                    for await request in requests {
                        handlers.addTask { try? await handler(request) }
                    }
                }
            }
            let result: Result<Void, any Error>
            do {
                try await body(harness)
                result = .success(())
            } catch {
                result = .failure(error)
            }
            responder.shutDown(timeout: .seconds(5))
            try await group.next()
            source.finish()
            try await group.waitForAll()
            try result.get()
        }
    }

    private struct StreamHandler: RequestHandler {
        let source: AsyncStream<IncomingRequest>.Continuation

        func received(_ request: IncomingRequest) {
            self.source.yield(request)
        }
    }

    /// Waits until the statistics are as expected.
    func waitFor(_ condition: (ResponderStatistics) -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition(self.responder.statistics) {
            guard ContinuousClock.now < deadline else {
                throw RawClient.Failure(description: "not reached: \(self.responder.statistics)")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

extension IncomingRequest {
    /// The whole body, however it comes.
    func wholeBody() async throws -> [UInt8] {
        switch self.body {
        case .complete(let bytes): return Array(bytes.readableBytesView)
        case .streamed:
            var result: [UInt8] = []
            while let piece = try await self.nextBodyChunk() { result += piece.readableBytesView }
            return result
        }
    }

    func answer(_ text: String) async throws {
        try await self.write(ByteBuffer(string: text))
        await self.finish()
    }
}

/// A folder that goes with the last reference to it.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/responder.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RawClient.Failure(description: "mkdtemp: errno \(errno)") }
        self.path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    func write(_ text: String, to name: String) throws {
        let descriptor = open(self.path + "/" + name, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        guard Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw RawClient.Failure(description: "\(name): errno \(errno)")
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: self.path)
    }
}

/// Counts what happens, and lets a test wait for it.
final class Signal: Sendable {
    private let stream: AsyncStream<Void>
    private let source: AsyncStream<Void>.Continuation
    private let number = Mutex(0)

    init() {
        (self.stream, self.source) = AsyncStream.makeStream()
    }

    var count: Int { self.number.withLock { $0 } }

    func fire() {
        self.number.withLock { $0 += 1 }
        self.source.yield()
    }

    /// Waits for one firing that nobody has waited for.
    func wait() async {
        var iterator = self.stream.makeAsyncIterator()
        _ = await iterator.next()
    }
}
