import Logging
import NIOCore
import NIOPosix
import Sessions

/// One connection to the socket for late answers: collects its lines, and has them carried out on the event loop of the
/// request that their token names.
final class LateConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let workers: [Worker]
    private let logger: Logger
    private var received = ByteBuffer()
    private var isDone = false

    init(workers: [Worker], logger: Logger) {
        self.workers = workers
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.isDone else { return }
        var bytes = self.unwrapInboundIn(data)
        guard self.received.readableBytes + bytes.readableBytes <= LateListener.maximumLength else {
            self.refuse("a late answer is too long", context: context)
            return
        }
        self.received.writeBuffer(&bytes)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            self.finish(context: context)
        case is IdleStateHandler.IdleStateEvent where !self.isDone:
            self.refuse("a late answer did not end in time", context: context)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // A peer that closes at once gets no word, but its answer counts.
        self.finish(context: context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.isDone = true
        context.close(promise: nil)
    }

    private func finish(context: ChannelHandlerContext) {
        guard !self.isDone else { return }
        self.isDone = true
        let lines = LateLines(self.received)
        self.received = ByteBuffer()
        guard let token = lines.token, Int(token.loop) < self.workers.count else {
            self.logger.warning("a late answer without a token was refused")
            context.close(promise: nil)
            return
        }
        let channel = context.channel
        let worker = self.workers[Int(token.loop)]
        let logger = self.logger
        // Owned by the connection: it ends with the answer, and its channel is closed then.
        Task(executorPreference: worker.executor) {
            let outcome: SessionOutcome?
            if let (visit, generation) = worker.lateAnswers.beginAnswer(token) {
                outcome = await lines.carryOut(on: visit)
                generation.useEnded()
            } else {
                logger.warning("a late answer came too late, or its token is unknown")
                outcome = nil
            }
            let word = ByteBuffer(string: "Session-Outcome: \(outcome?.rawValue ?? "unknown")\n")
            try? await channel.writeAndFlush(word)
            try? await channel.close()
        }
    }

    private func refuse(_ reason: Logger.Message, context: ChannelHandlerContext) {
        self.isDone = true
        self.received = ByteBuffer()
        self.logger.warning(reason)
        context.close(promise: nil)
    }
}

/// The lines of a late answer.
struct LateLines: Sendable {
    private let fields: [(field: SessionField, value: ByteBuffer)]
    /// Of the first line; lines with another one are foreign.
    let token: RequestToken?
    /// How many are none of the contract's: they are left out.
    private let otherLines: Int

    init(_ bytes: ByteBuffer) {
        var fields: [(field: SessionField, value: ByteBuffer)] = []
        var otherLines = 0
        for line in bytes.readableBytesView.split(separator: UInt8(ascii: "\n")) {
            guard
                let colon = line.firstIndex(of: UInt8(ascii: ":")),
                let field = SessionField(name: line[..<colon]), line.endIndex > colon + 1
            else {
                if line.contains(where: { ![0x20, 0x09, 0x0d].contains($0) }) { otherLines += 1 }
                continue
            }
            let end = line.last == UInt8(ascii: "\r") ? line.endIndex - 1 : line.endIndex
            if end > colon + 1, let value = bytes.getSlice(at: colon + 1, length: end - colon - 1) {
                fields.append((field, value))
            }
        }
        self.fields = fields
        self.otherLines = otherLines
        self.token = fields.first.flatMap { _, value in
            let word = value.readableBytesView.drop { $0 == 0x20 || $0 == 0x09 }
            return RequestToken(word.prefix { $0 != 0x20 && $0 != 0x09 })
        }
    }

    func carryOut(on visit: SessionVisit) async -> SessionOutcome? {
        var answer = LateAnswer(visit)
        for (field, value) in self.fields {
            answer.receive(field, value)
        }
        answer.leftOut(lines: self.otherLines)
        return await answer.finish()
    }
}
