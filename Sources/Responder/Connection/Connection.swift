import Glibc
import NIOCore
import NIOPosix

/// One connection of the web server, on its event loop: its channel reads, waits and closes; what is sent goes to the
/// descriptor at once, and through the channel only where the peer has to be waited for.
///
/// What happens is decided by `ConnectionState`. What is to be done outside, above all waking and calling others and
/// closing, is collected in `Effects` and done when the state is as it shall be.
///
/// `@unchecked Sendable`: all of it is touched on the event loop only, where others come by `call` and `tell`.
final class Connection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Never used twice.
    let number: UInt64
    let core: ResponderCore
    /// Its event loop's.
    let writer: LibraryWriter
    private let deadlines: DeadlineList
    private var state: ConnectionState
    private var context: ChannelHandlerContext?
    /// The channel would read, but nobody wants bytes.
    private var isReadPending = false

    /// What the channel is given to send where it has to wait for the peer: so little that there is room for it
    /// whenever the socket says that there is some.
    private static let waitingPieceSize = 1_024

    init(number: UInt64, descriptor: Int32, loop: ResponderLoop, core: ResponderCore) {
        self.number = number
        self.writer = loop.writer
        self.deadlines = loop.deadlines
        self.core = core
        self.state = ConnectionState(descriptor: descriptor)
    }

    var eventLoop: any EventLoop { self.deadlines.eventLoop }

    // MARK: From any thread

    /// Gives the descriptor to a channel on the event loop.
    func open(_ descriptor: Int32) {
        ClientBootstrap(group: self.eventLoop)
            // A handler that asks for a piece of a body gets one.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1_024, initial: 2_048, maximum: Exchange.pieceSize)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
            }
            .withConnectedSocket(descriptor)
            .whenFailure { _ in self.tell { $0.channelClosed() } }
    }

    /// Whether the caller is on the event loop and may do at once what `call` would do.
    var isHere: Bool { self.eventLoop.inEventLoop }

    /// Calls the body on the event loop.
    func call<Result: Sendable>(_ body: @escaping @Sendable (Connection) -> Result) async -> Result {
        if self.isHere { return body(self) }
        return await withUnsafeContinuation { continuation in
            self.eventLoop.execute { continuation.resume(returning: body(self)) }
        }
    }

    func tell(_ body: @escaping @Sendable (Connection) -> Void) {
        if self.eventLoop.inEventLoop {
            body(self)
        } else {
            self.eventLoop.execute { body(self) }
        }
    }

    // MARK: What the responder calls

    /// Looks at the deadlines.
    /// - Returns: whether one is still to come.
    func tick(at now: ContinuousClock.Instant, judgesPace: Bool) -> Bool {
        // Hundreds of slow peers should cost a glance each.
        guard self.state.isDue(at: now, judgesPace: judgesPace) else { return true }
        return self.perform { state, effects in
            state.tick(at: now, self, &effects)
        }
    }

    /// Closes the connection unless a request is under way; one that has just come in, or begins to, counts.
    func closeIfIdle() {
        self.perform { state, effects in
            guard case .head = state.phase, !state.headGuard.hasBegun, self.context != nil, !state.hasUnreadInput else {
                return
            }
            state.close(self, &effects)
        }
    }

    /// Closes the connection, whatever it is doing.
    func cut() {
        self.perform { state, effects in
            guard state.phase != .closed else { return }
            state.fail(state.exchange == nil ? nil : .shutDown, self, &effects)
        }
    }

    // MARK: What a request calls

    enum BodyStep: Sendable {
        case piece(ByteBuffer)
        case end
        case wait
        case failed(ResponderError)
    }

    func takeBodyPiece(_ serial: UInt64) -> BodyStep {
        guard self.state.isLive(serial), let exchange = self.state.exchange else {
            return .failed(self.state.failure(serial))
        }
        if let piece = exchange.takeCollected() { return .piece(piece) }
        if exchange.isBodyComplete { return .end }
        return exchange.isFinishing ? .failed(self.state.failure(serial)) : .wait
    }

    enum OutputStep: Sendable {
        case done
        case wait
        case failed(ResponderError)
    }

    /// Appends to the response, and sends it where `flushes` is set or more than 32 KiB have come together.
    func write(_ bytes: ByteBuffer?, to stream: OutputQueue.Stream, flushes: Bool, _ serial: UInt64) -> OutputStep {
        self.perform { state, effects in
            guard state.isLive(serial), state.exchange?.isFinishing == false else {
                return .failed(state.failure(serial))
            }
            if let bytes { state.exchange?.output.append(bytes, to: stream) }
            if flushes || (state.exchange?.output.byteCount ?? 0) > ConnectionState.gatheredOutput {
                state.sendOutput(self, &effects)
            }
            return state.outputStep(serial, limit: self.core.configuration.outputLimit)
        }
    }

    /// Whether `write` may go on.
    func outputStep(_ serial: UInt64) -> OutputStep {
        self.state.outputStep(serial, limit: self.core.configuration.outputLimit)
    }

    /// - Returns: whether the request has left; else waiting for its end tells.
    func finish(_ serial: UInt64) -> Bool {
        self.perform { state, effects in
            guard state.isLive(serial) else { return true }
            state.exchange?.isFinishing = true
            state.exchange?.wakeReader(&effects)
            state.sendOutput(self, &effects)
            return !state.isLive(serial)
        }
    }

    func abort(_ serial: UInt64) {
        self.perform { state, effects in
            guard state.isLive(serial) else { return }
            state.abort(self, &effects)
        }
    }

    func onClientGone(_ action: @escaping @Sendable () -> Void, _ serial: UInt64) {
        if self.state.isLive(serial) {
            guard let earlier = self.state.exchange?.goneAction else {
                self.state.exchange?.goneAction = action
                return
            }
            self.state.exchange?.goneAction = {
                earlier()
                action()
            }
        } else if self.state.isGone(serial) {
            action()
        }
    }

    enum Waiter {
        case reader
        case writer
        case end
    }

    /// Waits until there may be something new for the waiter. Returns at once where there is, and when the task is
    /// cancelled.
    func wait(as waiter: Waiter, _ serial: UInt64) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                self.tell { connection in
                    let isRegistered = connection.perform { state, effects in
                        state.isLive(serial) && state.register(continuation, as: waiter, connection, &effects)
                    }
                    if !isRegistered { continuation.resume() }
                }
            }
        } onCancel: {
            guard waiter != .end else { return }
            self.tell { connection in
                connection.perform { state, effects in
                    guard state.isLive(serial) else { return }
                    state.exchange?.giveUpWaiting(as: waiter, &effects)
                }
            }
        }
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        if self.core.isStopping { self.closeIfIdle() }
    }

    func read(context: ChannelHandlerContext) {
        if self.state.wantsInput {
            context.read()
        } else {
            self.isReadPending = true
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.perform { state, effects in
            self.unwrapInboundIn(data).withUnsafeReadableBytes { state.received($0, self, &effects) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.channelClosed()
    }

    /// The peer closed its end, or the connection broke, or it could not be opened.
    private func channelClosed() {
        self.perform { state, effects in
            state.channelClosed(self, &effects)
        }
    }

    /// Has the channel wait until the peer takes something.
    private func waitForOutput() {
        guard let context, let piece = self.state.exchange?.output.takeFirst(atMost: Self.waitingPieceSize) else {
            return
        }
        let promise = context.eventLoop.makePromise(of: Void.self)
        // Where it fails the channel is closed.
        promise.futureResult.assumeIsolated().whenSuccess {
            self.perform { state, effects in
                state.outputPossible(self, &effects)
            }
        }
        context.writeAndFlush(self.wrapOutboundOut(piece), promise: promise)
    }

    // MARK: -

    /// Decides first, acts afterwards.
    @discardableResult
    private func perform<Result>(_ body: (inout ConnectionState, inout Effects) -> Result) -> Result {
        self.eventLoop.assertInEventLoop()
        var effects = Effects()
        let result = body(&self.state, &effects)
        self.carryOut(effects)
        return result
    }

    private func carryOut(_ effects: Effects) {
        if effects.isWatched { self.deadlines.watch(self) }
        if effects.isClosed {
            self.context?.close(promise: nil)
            self.core.connectionClosed(self)
        }
        if let refusal = effects.refusal { self.core.refused(refusal) }
        effects.reader?.resume()
        effects.writer?.resume()
        effects.ended?.resume()
        effects.goneAction?()
        if let delivered = effects.delivered { self.core.handler.received(delivered) }
        if effects.isOutputBlocked { self.waitForOutput() }
        if self.isReadPending, self.state.wantsInput {
            self.isReadPending = false
            self.context?.read()
        }
    }
}

/// What a change of a connection's state means for others.
struct Effects {
    var delivered: IncomingRequest?
    var reader: UnsafeContinuation<Void, Never>?
    var writer: UnsafeContinuation<Void, Never>?
    var ended: UnsafeContinuation<Void, Never>?
    var goneAction: (@Sendable () -> Void)?
    var refusal: RefusalReason?
    var isClosed = false
    var isWatched = false
    var isOutputBlocked = false
}
