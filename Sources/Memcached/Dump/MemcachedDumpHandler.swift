import NIOCore

/// Runs one dump on one connection, reads it without a pause, watches over the server's silence, and closes the connection.
final class MemcachedDumpHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Outcome: Sendable, Equatable {
        case keys([MemcachedKey])
        case tooManyKeys
        case busy
    }

    private let lineTimeout: TimeAmount
    private let outcome: EventLoopPromise<Outcome>
    private var parser: MemcachedDumpParser
    private var unread = ByteBuffer()
    private var isOver = false
    private var isOverdue = false
    private var lastRead = NIODeadline.distantPast
    private var timer: Scheduled<Void>?

    /// - Parameter outcome: completed exactly once, at the latest when the channel is closed.
    init(selection: MemcachedDumpParser, lineTimeout: TimeAmount, outcome: EventLoopPromise<Outcome>) {
        self.parser = selection
        self.lineTimeout = lineTimeout
        self.outcome = outcome
    }

    /// On a channel that is connected already.
    func handlerAdded(context: ChannelHandlerContext) {
        self.lastRead = context.eventLoop.now
        self.startTimer(context, at: self.lastRead + self.lineTimeout)
        let command = context.channel.allocator.buffer(staticString: "lru_crawler metadump hash\r\n")
        context.writeAndFlush(self.wrapOutboundOut(command), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isOver else { return }
        self.lastRead = context.eventLoop.now
        var bytes = self.unwrapInboundIn(data)
        if self.unread.readableBytes == 0 {
            self.unread = bytes
        } else {
            self.unread.discardReadBytes()
            self.unread.writeBuffer(&bytes)
        }
        do throws(MemcachedError) {
            if let outcome = try self.parser.parse(&self.unread) { self.finish(context, .success(outcome)) }
        } catch {
            self.finish(context, .failure(error))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.finish(context, .failure(MemcachedError(.connectionClosed, "the dump is incomplete")))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.finish(
            context,
            .failure(MemcachedError(.connectionClosed, "the dump is incomplete", underlying: error))
        )
    }

    private func startTimer(_ context: ChannelHandlerContext, at deadline: NIODeadline) {
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            guard !self.isOver else { return }
            let deadline = self.lastRead + self.lineTimeout
            let now = context.eventLoop.now
            if deadline > now {
                self.isOverdue = false
                self.startTimer(context, at: deadline)
            } else if !self.isOverdue {
                // Where it was this loop that was late the lines are in the socket already.
                self.isOverdue = true
                self.startTimer(context, at: now + .milliseconds(1))
            } else {
                self.finish(context, .failure(MemcachedError(.timedOut, "the dump has stopped")))
            }
        }
    }

    private func finish(_ context: ChannelHandlerContext, _ result: Result<Outcome, MemcachedError>) {
        guard !self.isOver else { return }
        self.isOver = true
        self.timer?.cancel()
        self.timer = nil
        context.close(promise: nil)
        switch result {
        case .success(let outcome): self.outcome.succeed(outcome)
        case .failure(let error): self.outcome.fail(error)
        }
    }
}
