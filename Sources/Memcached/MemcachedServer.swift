import DequeModule
import Glibc
package import Logging
package import NIOCore
import NIOPosix

/// One memcached as seen from one event loop: one pipelined connection, kept up as `ServerHealth` decides.
///
/// Bound to `eventLoop`: every method and property is used on it, and every callback comes on it, so there is no lock.
/// On each new connection the server is asked for its version, its settings and the greeting; only when all three are
/// answered is it available. Nothing ever waits for a server that is not. Once started it must be closed.
///
/// Each transition is logged with the server's address, once for all event loops that share a `ServerTransitionLog`:
/// `warning` when it goes down, `notice` when it is there again.
// @unchecked: all mutable state is touched on `eventLoop` only, which debug builds assert in every method.
package final class MemcachedServer: @unchecked Sendable {
    package typealias Completion = (Result<MemcachedReply, MemcachedError>, ConnectionNumber?) -> Void

    /// The oldest version whose meta commands are known to be right (Debian 12's).
    package static let oldestVersion = (1, 6, 18)

    package let address: MemcachedAddress
    package let eventLoop: any EventLoop
    /// What the server on the current, or else the last, connection said about itself.
    package private(set) var settings = MemcachedSettings()
    package private(set) var version = ""

    private let configuration: MemcachedConfiguration
    private let greeting: MemcachedCommand?
    private let logger: Logger
    private var onConnected: ((ConnectionNumber, MemcachedReply?) -> Void)?
    private var onDisconnected: ((ConnectionNumber) -> Void)?

    private var health: ServerHealth
    /// Of the attempt or the connection that there is.
    private var handler: MemcachedConnectionHandler?
    private var channel: EventLoopFuture<any Channel>?
    private var retry: Scheduled<Void>?
    private let transitions: ServerTransitionLog

    /// - Parameters:
    ///   - greeting: sent on each new connection before anything else.
    ///   - onConnected: the server is available from now on; called with the answer to the greeting.
    ///   - onDisconnected: called once for each `onConnected`, after everything in flight has been completed.
    package init(
        address: MemcachedAddress,
        eventLoop: any EventLoop,
        configuration: MemcachedConfiguration = MemcachedConfiguration(),
        logger: Logger,
        transitions: ServerTransitionLog = ServerTransitionLog(),
        greeting: MemcachedCommand? = nil,
        onConnected: @escaping (ConnectionNumber, MemcachedReply?) -> Void = { _, _ in },
        onDisconnected: @escaping (ConnectionNumber) -> Void = { _ in }
    ) {
        self.address = address
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.greeting = greeting
        self.logger = logger
        self.transitions = transitions
        self.onConnected = onConnected
        self.onDisconnected = onDisconnected
        self.health = ServerHealth(policy: configuration.reconnect)
    }

    /// Whether a command would be sent now: connected, and the greeting answered.
    package var isAvailable: Bool {
        self.eventLoop.assertInEventLoop()
        return self.health.isUp
    }

    /// The connection that commands go out on; `nil` while the server is not available.
    package var connection: ConnectionNumber? {
        self.eventLoop.assertInEventLoop()
        return self.health.isUp ? self.handler?.number : nil
    }

    /// Makes the first attempt to connect; later ones follow by themselves. More calls do nothing.
    package func start() {
        self.eventLoop.assertInEventLoop()
        guard case .new = self.health.state else { return }
        self.connectIfDue()
    }

    /// Sends one command; the writes of one turn of the loop leave together.
    ///
    /// - Parameters:
    ///   - only: refuses with `.connectionClosed` unless this is the current connection.
    ///   - completion: called exactly once, on the loop, before `send` returns if the command is refused: `.heldDown` or
    ///     `.notConnected` where the server is not available, `.queueFull`, `.valueTooLarge`. With it comes the connection
    ///     that gave the answer, `nil` for a failure.
    package func send(
        _ command: MemcachedCommand,
        only: ConnectionNumber? = nil,
        completion: @escaping Completion
    ) {
        self.eventLoop.assertInEventLoop()
        guard self.health.isUp, let handler else {
            completion(.failure(MemcachedError(self.health.refusal)), nil)
            return
        }
        if let only, only != handler.number {
            completion(.failure(MemcachedError(.connectionClosed, "another connection is there now")), nil)
            return
        }
        switch command {
        case .add(let key, let value, _), .compareAndSet(let key, let value, _, _):
            guard value.length <= self.settings.maximumValueLength(keyLength: key.bytes.count) else {
                completion(.failure(MemcachedError(.valueTooLarge)), nil)
                return
            }
        case .get, .fetch, .delete, .noop, .version, .settings, .statistics:
            break
        }
        handler.submit(command, completion: completion)
    }

    /// Ends it: what is in flight fails with `.connectionClosed`, later commands with `.notConnected`.
    ///
    /// - Returns: succeeds when no descriptor is left. Never fails.
    package func close() -> EventLoopFuture<Void> {
        self.eventLoop.assertInEventLoop()
        self.retry?.cancel()
        self.retry = nil
        self.onConnected = nil
        self.onDisconnected = nil
        self.health.closed()
        self.transitions.update(self.address) { $0.closed(ObjectIdentifier(self)) }
        self.handler?.close(MemcachedError(.connectionClosed, mayHaveReachedServer: true, "closed by the gateway"))
        guard let channel else { return self.eventLoop.makeSucceededVoidFuture() }
        return channel.flatMap { channel in
            channel.close(promise: nil)
            return channel.closeFuture
        }.flatMapErrorThrowing { _ in }
    }

    // MARK: - The way to a connection

    private func connectIfDue() {
        guard self.health.attemptDue() else { return }
        let handler = MemcachedConnectionHandler(
            number: .next(),
            configuration: self.configuration,
            unixTime: { Int(time(nil)) },
            // The handler is let go of when its connection ends. Not weak, here and in those who hold a server: an object
            // that was ever held weakly is retained and released several times as slowly.
            ended: { self.connectionEnded($0, $1, $2) }
        )
        self.handler = handler
        let channel = MemcachedBootstrap.connect(
            to: self.address,
            on: self.eventLoop,
            timeout: self.configuration.connectTimeout
        )
        self.channel = channel
        channel.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel):
                self.connected(channel, handler)
            case .failure(let error):
                let error = MemcachedError(.connectFailed, underlying: error)
                self.connectionEnded(handler, error, [])
            }
        }
    }

    private func connected(_ channel: any Channel, _ handler: MemcachedConnectionHandler) {
        if case .closed = self.health.state {
            channel.close(promise: nil)
            return
        }
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            channel.close(promise: nil)
            self.connectionEnded(handler, MemcachedError(.connectFailed, underlying: error), [])
            return
        }
        self.greet(handler)
    }

    /// Version, settings and greeting leave in one write; the answer to the last decides.
    private func greet(_ handler: MemcachedConnectionHandler) {
        handler.submit(.version) { result, _ in
            guard case .success(.version(let text)) = result else { return handler.closeUnlessAnswered(result) }
            guard self.configuration.isReadOnly || MemcachedServer.isRecentEnough(text) else {
                return handler.close(MemcachedError(.unusableServer, "memcached is older than 1.6.18"))
            }
            self.version = text
        }
        handler.submit(.settings) { result, _ in
            guard case .success(.settings(let settings)) = result else { return handler.closeUnlessAnswered(result) }
            guard settings.casEnabled || self.configuration.isReadOnly else {
                return handler.close(MemcachedError(.unusableServer, "memcached runs without CAS (-C)"))
            }
            self.settings = settings
        }
        handler.submit(self.greeting ?? .noop) { result, _ in
            switch result {
            case .success(.serverError), .success(.clientError), .failure:
                handler.closeUnlessAnswered(result)
            case .success(let reply):
                self.greetingAnswered(handler, self.greeting == nil ? nil : reply)
            }
        }
    }

    private func greetingAnswered(_ handler: MemcachedConnectionHandler, _ reply: MemcachedReply?) {
        guard self.handler === handler, self.health.greetingAnswered(at: self.eventLoop.now) else { return }
        if self.transitions.update(self.address, { $0.cameUp(ObjectIdentifier(self)) }) {
            var metadata = self.metadata
            metadata["gateway.memcached.version"] = "\(self.version)"
            self.logger.notice("memcached server is available", metadata: metadata)
        }
        self.onConnected?(handler.number, reply)
    }

    private func connectionEnded(
        _ handler: MemcachedConnectionHandler,
        _ error: MemcachedError,
        _ failed: Deque<MemcachedConnectionHandler.Failed>
    ) {
        // An attempt that failed after its channel was there is heard of twice.
        guard self.handler === handler else { return Self.complete(failed) }
        self.handler = nil
        let wasUp = self.health.isUp
        let failure = self.health.connectionFailed(at: self.eventLoop.now, chance: Double.random(in: 0..<1))
        self.log(failure, error)
        if let delay = failure.retryAfter {
            self.retry = self.eventLoop.assumeIsolated().scheduleTask(in: delay) { self.connectIfDue() }
        }
        Self.complete(failed)
        if wasUp { self.onDisconnected?(handler.number) }
    }

    private static func complete(_ failed: Deque<MemcachedConnectionHandler.Failed>) {
        for failed in failed { failed.waiter.complete(.failure(failed.error), nil) }
    }

    private func log(_ failure: ServerHealth.Failure, _ error: MemcachedError) {
        guard let delay = failure.retryAfter else { return }
        var metadata = self.metadata
        metadata["gateway.error"] = "\(error)"
        metadata["gateway.memcached.retry"] = "\(delay.nanoseconds / 1_000_000) ms"
        // A server that was away and is unusable now is news too: only the operator can mend it.
        let reason = error.code == .unusableServer ? error.message : nil
        let mayBeNews = failure.wentDown || reason != nil
        if mayBeNews, self.transitions.update(self.address, { $0.wentDown(ObjectIdentifier(self), reason: reason) }) {
            self.logger.warning("memcached server is down", metadata: metadata)
        } else {
            self.logger.debug("memcached server is still down", metadata: metadata)
        }
    }

    private var metadata: Logger.Metadata { ["gateway.memcached.server": "\(self.address)"] }

    /// Whether `text` is 1.6.18 or later. Versions that are no three numbers (other servers of the protocol) pass.
    static func isRecentEnough(_ text: String) -> Bool {
        let numbers = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
            .map { Int($0.prefix { $0.isASCII && $0.isNumber }) }
        guard numbers.count == 3, let major = numbers[0], let minor = numbers[1], let patch = numbers[2]
        else { return true }
        return (major, minor, patch) >= Self.oldestVersion
    }
}

extension MemcachedConnectionHandler {
    /// Part of the greeting went wrong: an answer that is an error makes the server unusable; a failure has closed the
    /// connection already.
    fileprivate func closeUnlessAnswered(_ result: Result<MemcachedReply, MemcachedError>) {
        guard case .success = result else { return }
        self.close(MemcachedError(.unusableServer, "the server answers the greeting with an error"))
    }
}
