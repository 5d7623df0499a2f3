import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Runs looks that block, of directories and of Redis, on a few threads of their own, for all event loops.
///
/// At most `maximumLooks` are under way or wait; further ones are answered at once, and so are all while the breaker is
/// open. A look that takes longer than the time-out is answered without it; its thread is free again when the kernel lets it go.
final class BlockingLooks: Sendable {
    private static let maximumLooks = 256

    private struct State {
        var breaker = SourceBreaker()
        var looks = 0
    }

    private let threads: NIOThreadPool
    private let timeout: TimeAmount
    private let state = Mutex(State())
    private let logger: Logger

    init(threads: Int, timeout: Duration, logger: Logger) {
        self.threads = NIOThreadPool(numberOfThreads: threads)
        self.timeout = TimeAmount(timeout)
        self.logger = logger
        self.threads.start()
    }

    deinit {
        self.threads.shutdownGracefully { _ in }
    }

    func look(on eventLoop: any EventLoop, _ body: @escaping @Sendable () -> SourceFinding) async -> SourceFinding {
        let now = NIODeadline.now()
        let refusal: String? = self.state.withLock { state in
            guard state.looks < Self.maximumLooks else { return "too many look into the old store at once" }
            guard state.breaker.admits(at: now) else { return "the old store does not answer" }
            state.looks += 1
            return nil
        }
        if let refusal { return .unavailable(refusal) }
        let finding = await self.raced(on: eventLoop, body)
        let change = self.state.withLock { state in
            if case .unavailable = finding { return state.breaker.failed(at: .now()) }
            return state.breaker.succeeded()
        }
        switch (change, finding) {
        case (.opened, .unavailable(let reason)):
            self.logger.warning("the old store does not answer", metadata: ["error": "\(reason)"])
        case (.closed, _):
            self.logger.notice("the old store answers again")
        default:
            break
        }
        return finding
    }

    /// The first of the answer and the time-out counts.
    private func raced(
        on eventLoop: any EventLoop,
        _ body: @escaping @Sendable () -> SourceFinding
    ) async -> SourceFinding {
        await withUnsafeContinuation { continuation in
            let race = Race(continuation)
            let timer = eventLoop.scheduleTask(in: self.timeout) {
                race.end(.unavailable("no answer in time"))
            }
            self.threads.submit { state in
                let finding = state == .active ? body() : .unavailable("the gateway ends")
                self.state.withLock { $0.looks -= 1 }
                timer.cancel()
                race.end(finding)
            }
        }
    }

    private final class Race: Sendable {
        private let waiter: Mutex<UnsafeContinuation<SourceFinding, Never>?>

        init(_ waiter: UnsafeContinuation<SourceFinding, Never>) {
            self.waiter = Mutex(waiter)
        }

        func end(_ finding: SourceFinding) {
            let waiter = self.waiter.withLock { waiter in
                defer { waiter = nil }
                return waiter
            }
            waiter?.resume(returning: finding)
        }
    }
}
