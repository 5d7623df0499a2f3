import NIOCore

/// Reads one of a script's output pipes, no faster than the consumer takes it.
final class CGIPipeReader: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    enum Stream: Sendable {
        case output
        case errorOutput
    }

    private let stream: Stream
    private let process: CGIProcess
    private var readIsPending = false
    private var context: ChannelHandlerContext?

    init(_ stream: Stream, of process: CGIProcess) {
        self.stream = stream
        self.process = process
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.process.received(self.unwrapInboundIn(data), on: self.stream)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.process.publish()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.process.closed(self.stream)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func read(context: ChannelHandlerContext) {
        if self.process.isPaused {
            self.readIsPending = true
        } else {
            context.read()
        }
    }

    func resume() {
        guard self.readIsPending else { return }
        self.readIsPending = false
        self.context?.read()
    }

    func close() {
        self.context?.close(promise: nil)
    }
}

/// Writes a script's standard input.
final class CGIPipeWriter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let process: CGIProcess
    private var context: ChannelHandlerContext?

    init(of process: CGIProcess) {
        self.process = process
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    var isWritable: Bool { self.context?.channel.isWritable ?? true }

    func write(_ bytes: ByteBuffer) {
        self.context?.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
    }

    /// Closes the pipe behind what has been written.
    func finish() {
        guard let context = self.context else { return }
        let channel = context.channel
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    func close() {
        self.context?.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.process.inputDrained() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        self.process.inputDrained()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The script has closed its input: what it does not read does not matter.
        context.close(promise: nil)
    }
}
