import CGI
import FastCGI
import Glibc
import NIOCore

/// A connection to an application: one request at a time.
///
/// `@unchecked Sendable`: all of its variables are touched on the event loop of its channel only; what may be called
/// from elsewhere goes there first.
final class FastCGIConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let eventLoop: any EventLoop
    /// The upstream's index in the configuration.
    let upstream: Int
    private let backend: FastCGIBackend
    private let timeouts: FastCGITimeouts

    private var context: ChannelHandlerContext?
    private let processor = NIOSingleStepByteToMessageProcessor(FastCGIRecordDecoder())
    private var timer: RepeatedTask?
    private var request: Request?
    /// Whether a request has been answered on this connection: only then can it have been closed unnoticed.
    private var hasServed = false
    /// Whether the request was not taken: the connection was closed before, or while bytes lay unread, or politely.
    private var isCutOff = false
    private var inputHasEnded = false
    /// How long after the end of its side an application that has not died keeps the connection at least.
    private static let politeness = TimeAmount.milliseconds(10)
    private var silence = Silence()
    /// Reading waits for the consumer.
    private var isPaused = false
    private var readIsPending = false
    private var batch: [BackendEvent] = []

    init(eventLoop: any EventLoop, upstream: Int, backend: FastCGIBackend, timeouts: FastCGITimeouts) {
        self.eventLoop = eventLoop
        self.upstream = upstream
        self.backend = backend
        self.timeouts = timeouts
    }

    var loopID: ObjectIdentifier { ObjectIdentifier(self.eventLoop) }

    // MARK: - From any thread

    /// Sends a request. The pool has seen to it that no other is under way.
    func start(_ run: FastCGIRun) {
        self.onLoop { $0.startOnLoop(run) }
    }

    /// Sends a piece of the body; the continuation is resumed when the application takes more.
    func writeBody(_ chunk: ByteBuffer, for run: FastCGIRun, then continuation: CheckedContinuation<Void, Never>) {
        self.onLoop { $0.writeOnLoop(chunk, for: run, then: continuation) }
    }

    func finishBody(for run: FastCGIRun) {
        self.onLoop { $0.finishBodyOnLoop(for: run) }
    }

    func resumeReading(for run: FastCGIRun) {
        self.onLoop { connection in
            guard connection.request?.run === run else { return }
            connection.silence.end()
            connection.resumeReading()
        }
    }

    func abort(_ run: FastCGIRun) {
        self.onLoop { connection in
            guard connection.request?.run === run else { return }
            connection.abortAndClose()
        }
    }

    func close() {
        self.onLoop { $0.context?.close(promise: nil) }
    }

    private func onLoop(_ body: @escaping @Sendable (FastCGIConnection) -> Void) {
        if self.eventLoop.inEventLoop {
            body(self)
        } else {
            self.eventLoop.execute { body(self) }
        }
    }

    // MARK: - The request

    private func startOnLoop(_ run: FastCGIRun) {
        guard let context = self.context, context.channel.isActive else {
            // Closed since the pool chose it; `channelInactive` has told the pool, or will.
            self.backend.connectionWasLost(for: run)
            return
        }
        guard run.activate(on: self) else {
            self.backend.connectionFreed(self)
            return
        }
        let now = NIODeadline.now()
        self.request = Request(
            run: run,
            machine: FastCGIRequestStateMachine(bodyIsComplete: run.bodyIsComplete),
            assembler: ResponseAssembler(limits: self.timeouts.headLimits, answersHead: run.answersHead),
            sentAt: now,
            bodyIsFinished: run.bodyIsComplete
        )
        self.silence.end()
        context.write(self.wrapOutboundOut(run.head), promise: nil)
        if let body = run.body {
            context.writeFastCGIInput(body)
            context.writeFastCGIInputEnd()
        }
        // Where the channel is closed inside of `flush`, the write itself has failed.
        self.isCutOff = true
        context.flush()
        self.isCutOff = false
    }

    private func writeOnLoop(_ chunk: ByteBuffer, for run: FastCGIRun, then writer: CheckedContinuation<Void, Never>) {
        guard let context = self.context, self.request?.run === run else {
            writer.resume()
            return
        }
        self.silence.end()
        context.writeFastCGIInput(chunk)
        // The writer is known before flushing: a write that fails at once closes the channel.
        self.request?.bodyWriter = writer
        context.flush()
        if context.channel.isWritable { self.resumeBodyWriter() }
    }

    private func finishBodyOnLoop(for run: FastCGIRun) {
        guard let context = self.context, self.request?.run === run else { return }
        self.silence.end()
        self.request?.bodyIsFinished = true
        self.request?.machine.bodyFinished()
        context.writeFastCGIInputEnd()
        context.flush()
    }

    private func resumeBodyWriter() {
        let writer = self.request?.bodyWriter
        self.request?.bodyWriter = nil
        writer?.resume()
    }

    private func abortAndClose() {
        guard let context = self.context else { return }
        if self.request?.machine.aborted() == .sendAbortAndClose {
            context.writeFastCGIAbort()
            context.flush()
        }
        self.dropRequest()
        context.close(promise: nil)
    }

    /// Nobody waits for the request on this connection any more.
    private func dropRequest() {
        self.resumeBodyWriter()
        self.request = nil
    }

    private func fail(_ error: BackendError) {
        self.request?.run.fail(error)
        self.abortAndClose()
    }

    // MARK: - The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let interval = self.timeouts.checkInterval
        self.timer = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            self.checkTime()
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.timer = nil
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.timer = nil
        self.context = nil
        guard let request = self.request.take() else {
            self.backend.connectionClosed(self)
            return
        }
        self.connectionLost(during: request)
    }

    private func connectionLost(during request: consuming Request) {
        request.bodyWriter?.resume()
        let run = request.run
        if case .fail(let answerHasBegun) = request.machine.connectionClosed() {
            let isStale = self.hasServed && !answerHasBegun && .now() - request.sentAt <= run.repeatWindow
            if isStale, run.isIdempotent || self.isCutOff, run.repeats(nothingWasSent: false) {
                self.backend.connectionClosed(self, reconnectingFor: run)
                return
            }
            run.fail(BackendError(.connectionClosed, "the application closed the connection before its answer ended"))
        }
        self.backend.connectionClosed(self)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else { return context.fireUserInboundEventTriggered(event) }
        self.inputHasEnded = true
        if let run = self.request?.run, !run.isIdempotent {
            self.isCutOff = context.channel.hasUnreadOutput
            if !self.isCutOff { return self.awaitEnd(context) }
        }
        context.close(promise: nil)
    }

    /// php-fpm and libfcgi end their own side first, read what still comes, and wait for our end: what they have read then
    /// they do not execute. The connections of a process that has died are gone at once.
    private func awaitEnd(_ context: ChannelHandlerContext) {
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.politeness) {
            self.isCutOff = true
            self.context?.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Whatever is wrong with the socket, the connection is of no use any more; `channelInactive` tells the rest.
        if !self.inputHasEnded, (error as? IOError)?.errnoCode == ECONNRESET { self.isCutOff = true }
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            self.silence.end()
            self.resumeBodyWriter()
        }
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        if self.isPaused {
            self.readIsPending = true
        } else {
            context.read()
        }
    }

    private func resumeReading() {
        self.isPaused = false
        if self.readIsPending {
            self.readIsPending = false
            self.context?.read()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do {
            try self.processor.process(buffer: self.unwrapInboundIn(data)) { record in
                self.recordReceived(record)
            }
        } catch {
            let reason = (error as? FastCGIError)?.rawValue ?? "\(error)"
            self.request?.outcome = .failed(BackendError(.malformedResponse, reason))
            if self.request == nil { context.close(promise: nil) }
        }
        guard let run = self.request?.run else { return }
        switch self.request?.outcome {
        case .none:
            if run.events.publish(&self.batch) { self.isPaused = true }
        case .failed(let error):
            _ = run.events.publish(&self.batch)
            self.fail(error)
        case .ended(let isReusable):
            // The connection is free before the consumer sees the end: its next request finds it.
            self.requestEnded(run, connectionIsReusable: isReusable && self.processor.unprocessedBytes == 0)
            _ = run.events.publish(&self.batch)
        }
    }

    private func requestEnded(_ run: FastCGIRun, connectionIsReusable: Bool) {
        run.finish()
        self.dropRequest()
        guard connectionIsReusable else {
            self.context?.close(promise: nil)
            return
        }
        self.hasServed = true
        self.silence.end()
        self.resumeReading()
        self.backend.connectionFreed(self)
    }

    private func recordReceived(_ record: FastCGIRecord) {
        guard var request = self.request.take() else {
            // Nothing was asked: the connection is out of step.
            self.context?.close(promise: nil)
            return
        }
        if case .failed = request.outcome {
            self.request = consume request
            return
        }
        if request.received(record, &self.batch) { self.silence.end() }
        self.request = consume request
    }

    // MARK: - Time

    private func checkTime() {
        guard let context = self.context else { return }
        self.silence.timePassed(self.timeouts.checkInterval)
        guard self.request != nil else {
            if self.silence.lasts(self.timeouts.idle), self.backend.idleTimedOut(self) { context.close(promise: nil) }
            return
        }
        let bodyIsFinished = self.request?.bodyIsFinished ?? true
        let hasHead = self.request?.assembler.hasHead ?? false
        if self.isPaused || (!bodyIsFinished && context.channel.isWritable && !hasHead) {
            // The client is slow, not the application.
            self.silence.end()
            return
        }
        let limit = bodyIsFinished && !hasHead ? self.timeouts.response : self.timeouts.io
        if self.silence.lasts(limit) {
            self.fail(BackendError(.timedOut, hasHead ? "the answer stopped" : "there was no answer"))
        }
    }
}
