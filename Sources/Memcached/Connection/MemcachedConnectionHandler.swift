import DequeModule
import NIOCore

/// Executes what `MemcachedPipeline` decides on one channel: gathers the writes of an event-loop turn, flushes them once,
/// hands answers to whoever waits, and keeps the one timer of the connection. Everything happens on the channel's loop.
final class MemcachedConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Completion = (Result<MemcachedReply, MemcachedError>, ConnectionNumber?) -> Void
    typealias Failed = MemcachedPipeline<Waiter>.Failed
    /// Called once, at the moment when the connection is given up; the owner completes the commands that failed.
    typealias Ended = (MemcachedConnectionHandler, MemcachedError, Deque<Failed>) -> Void

    /// A closure by itself, as the argument of a generic type, would be wrapped in another one for every command.
    struct Waiter {
        let complete: Completion
    }

    /// A body up to this length is copied behind its line: cheaper than an entry of its own in a writev.
    private static let longestCopiedBody = 4_096

    let number: ConnectionNumber
    private let operationTimeout: TimeAmount
    private let heartbeatInterval: TimeAmount
    private let unixTime: () -> Int
    private let ended: Ended

    private var pipeline: MemcachedPipeline<Waiter>
    private let decoder: NIOSingleStepByteToMessageProcessor<MemcachedReplyDecoder>
    private var context: ChannelHandlerContext?
    private var outbound = ByteBuffer()
    private var flushIsScheduled = false
    /// When the first of the commands came that the next flush sends.
    private var submitted = NIODeadline.distantPast
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private var lastRead = NIODeadline.distantPast

    init(
        number: ConnectionNumber,
        configuration: MemcachedConfiguration,
        unixTime: @escaping () -> Int,
        ended: @escaping Ended
    ) {
        self.number = number
        self.operationTimeout = TimeAmount(configuration.operationTimeout)
        self.heartbeatInterval = TimeAmount(configuration.heartbeatInterval)
        self.unixTime = unixTime
        self.ended = ended
        self.pipeline = MemcachedPipeline(
            maximumCommands: configuration.maximumCommandsInFlight,
            maximumBytes: configuration.maximumBytesInFlight
        )
        self.decoder = NIOSingleStepByteToMessageProcessor(
            MemcachedReplyDecoder(maximumValueLength: configuration.maximumValueLength)
        )
    }

    /// Sends one command.
    ///
    /// - Parameter completion: called exactly once, on the loop; before this returns if the command is refused.
    func submit(_ command: MemcachedCommand, completion: @escaping Completion) {
        guard let context else {
            completion(.failure(MemcachedError(.connectionClosed)), nil)
            return
        }
        // Commands that leave together were submitted together: the clock is looked at once for them.
        if !self.flushIsScheduled { self.submitted = context.eventLoop.now }
        let deadline = self.submitted + self.operationTimeout
        let value = command.value
        let action = self.pipeline.commandSubmitted(
            Waiter(complete: completion),
            expecting: command.expectation,
            bytes: value?.length ?? 0,
            deadline: deadline
        )
        switch action {
        case .refuse(let code):
            completion(.failure(MemcachedError(code)), nil)
        case .write(let opaque):
            self.outbound.writeMemcachedLine(command, opaque: opaque, unixTime: self.unixTime)
            if let value { self.append(value, context) }
            self.scheduleFlush(context)
            self.armTimer(at: deadline, context)
        }
    }

    /// Gives the connection up: what is in flight fails, the oldest with `error`.
    func close(_ error: MemcachedError) {
        guard !self.pipeline.isClosed else { return }
        self.end(error, self.pipeline.failed(error))
    }

    // MARK: - Writing

    private func append(_ value: MemcachedValue, _ context: ChannelHandlerContext) {
        self.append(value.head, context)
        self.append(value.body, context)
        self.outbound.writeStaticString("\r\n")
    }

    private func append(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        if bytes.readableBytes <= Self.longestCopiedBody {
            self.outbound.writeImmutableBuffer(bytes)
        } else {
            self.writeOutbound(context)
            context.write(self.wrapOutboundOut(bytes), promise: nil)
        }
    }

    private func writeOutbound(_ context: ChannelHandlerContext) {
        guard self.outbound.readableBytes > 0 else { return }
        context.write(self.wrapOutboundOut(self.outbound), promise: nil)
        // Reuses the storage if the channel has let go of it, else takes a new one.
        self.outbound.clear()
    }

    private func scheduleFlush(_ context: ChannelHandlerContext) {
        guard !self.flushIsScheduled else { return }
        self.flushIsScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.flushIsScheduled = false
            guard let context = self.context, !self.pipeline.isClosed else { return }
            context.write(self.wrapOutboundOut(self.outbound), promise: nil)
            context.flush()
            self.outbound.clear()
        }
    }

    // MARK: - Reading

    /// On a channel that is connected already.
    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.outbound = context.channel.allocator.buffer(capacity: 1_024)
        self.lastRead = context.eventLoop.now
        self.armTimer(at: self.lastRead + self.heartbeatInterval, context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.close(MemcachedError(.connectionClosed, mayHaveReachedServer: true))
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.pipeline.isClosed else { return }
        self.lastRead = context.eventLoop.now
        do {
            try self.decoder.process(buffer: self.unwrapInboundIn(data)) { reply in
                self.replyReceived(reply)
            }
        } catch let error as MemcachedError {
            self.close(error)
        } catch {
            self.close(MemcachedError(.outOfStep, mayHaveReachedServer: true, underlying: error))
        }
    }

    private func replyReceived(_ reply: MemcachedWireReply) {
        switch self.pipeline.replyReceived(reply) {
        case .complete(let waiter, let answer):
            waiter.complete(.success(answer), self.number)
        case .completeAndClose(let waiter, let answer, let rest):
            self.end(MemcachedError(.outOfStep, "the server refused the line of a write"), rest)
            waiter.complete(.success(answer), self.number)
        case .close(let error, let failed):
            self.end(error, failed)
        case .ignore:
            break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.close(MemcachedError(.connectionClosed, mayHaveReachedServer: true, "the server closed the connection"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.close(MemcachedError(.connectionClosed, mayHaveReachedServer: true, underlying: error))
    }

    // MARK: - Time

    /// Makes the timer fire at `deadline` or before; firing early only means another look.
    private func armTimer(at deadline: NIODeadline, _ context: ChannelHandlerContext) {
        guard deadline < self.timerDeadline else { return }
        self.timer?.cancel()
        self.timerDeadline = deadline
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timerFired() }
    }

    private func timerFired() {
        self.timerDeadline = .distantFuture
        guard let context, !self.pipeline.isClosed else { return }
        let now = context.eventLoop.now
        switch self.pipeline.timerFired(at: now) {
        case .idle:
            if now - self.lastRead >= self.heartbeatInterval {
                self.submit(.noop) { _, _ in }
            } else {
                self.armTimer(at: self.lastRead + self.heartbeatInterval, context)
            }
        case .wait(let deadline):
            self.armTimer(at: deadline, context)
        case .lookAgain(let late):
            // The loop polls its sockets before timers that are due later than now. A gateway that has slept gives the
            // servers the time that it has taken from them: else all of them would seem to be down.
            self.armTimer(at: now + min(max(late, .milliseconds(1)), self.operationTimeout), context)
        case .close(let failed):
            self.end(MemcachedError(.timedOut, mayHaveReachedServer: true, "no answer in time"), failed)
        }
    }

    private func end(_ error: MemcachedError, _ failed: Deque<Failed>) {
        self.timer?.cancel()
        self.timer = nil
        self.outbound = ByteBuffer()
        self.context?.close(promise: nil)
        self.ended(self, error, failed)
    }
}

extension MemcachedCommand {
    fileprivate var expectation: MemcachedPipeline<MemcachedConnectionHandler.Waiter>.Expectation {
        switch self {
        case .get: .value
        case .fetch: .foreignValue
        case .add, .compareAndSet: .storage
        case .delete: .deletion
        case .noop: .noop
        case .version: .version
        case .settings: .settings
        case .statistics: .statistics
        }
    }

    fileprivate var value: MemcachedValue? {
        switch self {
        case .add(_, let value, _), .compareAndSet(_, let value, _, _): value
        case .get, .fetch, .delete, .noop, .version, .settings, .statistics: nil
        }
    }
}
