import CGI
import Glibc
import Logging
import NIOCore
import NIOPosix

/// A script that runs: relays its input and output at the same time, and sees to its end.
///
/// The process is reaped last of all: until then its number is its own, so that its group can be signalled safely.
/// `@unchecked Sendable`: all of its variables are touched on its event loop only; what may be called from elsewhere
/// goes there first.
final class CGIProcess: @unchecked Sendable {
    let events = ResponseEvents()
    private let eventLoop: any EventLoop
    private let child: ChildProcess
    private let timeouts: CGITimeouts
    private let logger: Logger
    private let reaped: @Sendable () -> Void

    private var assembler: ResponseAssembler
    private var batch: [BackendEvent] = []
    private var outputReader: CGIPipeReader?
    private var errorReader: CGIPipeReader?
    private var writer: CGIPipeWriter?
    private var outputIsOpen = true
    private var errorOutputIsOpen = true
    private var bodyIsFinished: Bool
    private var bodyWriter: CheckedContinuation<Void, Never>?
    /// Reading waits for the consumer.
    private(set) var isPaused = false
    private var exit: ChildExit?
    private var isTerminating = false
    private var isReaped = false

    private var timer: RepeatedTask?
    private var killTimer: Scheduled<Void>?
    private var silence = Silence()
    /// How long the script has run, without the time in which the client was waited for.
    private var running = Silence()

    /// - Parameter reaped: called once, when the process is gone.
    init(
        _ child: ChildProcess,
        assembler: ResponseAssembler,
        bodyIsFinished: Bool,
        timeouts: CGITimeouts,
        eventLoop: any EventLoop,
        logger: Logger,
        reaped: @escaping @Sendable () -> Void
    ) {
        self.child = child
        self.assembler = assembler
        self.bodyIsFinished = bodyIsFinished
        self.timeouts = timeouts
        self.eventLoop = eventLoop
        self.logger = logger
        self.reaped = reaped
    }

    // MARK: - From any thread

    /// Begins to relay. Fails where the pipes cannot be registered; the process is terminated then.
    func start(watcher: ChildExitWatcher, body: ByteBuffer?) -> EventLoopFuture<Void> {
        watcher.watch(self.child, on: self.eventLoop) { exit in
            self.exited(exit)
        }
        return self.eventLoop.flatSubmit { self.attach(body: body) }
    }

    /// Passes a piece of the body on; the continuation is resumed when the script takes more.
    func writeBody(_ chunk: ByteBuffer, then continuation: CheckedContinuation<Void, Never>) {
        self.onLoop { process in
            guard !process.isTerminating, !process.isReaped, let writer = process.writer else {
                continuation.resume()
                return
            }
            // The waiter is known before writing: a write that fails at once closes the pipe.
            process.bodyWriter = continuation
            writer.write(chunk)
            if process.writer == nil || writer.isWritable { process.inputDrained() }
        }
    }

    func finishBody() {
        self.onLoop { process in
            guard !process.isTerminating, !process.isReaped else { return }
            process.bodyIsFinished = true
            process.writer?.finish()
        }
    }

    func resumeReading() {
        self.onLoop { process in
            process.silence.end()
            process.goOnReading()
        }
    }

    /// Kills the process group. The script's input is closed only when the script is gone, so that it never takes an
    /// unfinished body for a whole one.
    func abort() {
        self.onLoop { process in
            process.events.discard()
            process.terminate()
        }
    }

    private func onLoop(_ body: @escaping @Sendable (CGIProcess) -> Void) {
        if self.eventLoop.inEventLoop {
            body(self)
        } else {
            self.eventLoop.execute { body(self) }
        }
    }

    // MARK: - Pipes

    private func attach(body: ByteBuffer?) -> EventLoopFuture<Void> {
        let interval = self.timeouts.checkInterval
        self.timer = self.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            self.checkTime()
        }
        let output = CGIPipeReader(.output, of: self)
        let errorOutput = CGIPipeReader(.errorOutput, of: self)
        self.outputReader = output
        self.errorReader = errorOutput
        var attached = [
            self.attach(output, to: self.child.output) { $0.takingOwnershipOfDescriptor(input: $1) },
            self.attach(errorOutput, to: self.child.errorOutput) { $0.takingOwnershipOfDescriptor(input: $1) },
        ]
        if self.child.input >= 0 {
            let writer = CGIPipeWriter(of: self)
            self.writer = writer
            attached.append(
                self.attach(writer, to: self.child.input) { $0.takingOwnershipOfDescriptor(output: $1) }
            )
        }
        let result = EventLoopFuture.whenAllComplete(attached, on: self.eventLoop).flatMapThrowing { results in
            for result in results { try result.get() }
        }
        result.whenComplete { result in
            switch result {
            case .success:
                if let body {
                    self.writer?.write(body)
                    self.writer?.finish()
                }
            case .failure:
                self.terminate()
            }
        }
        return result
    }

    /// A descriptor that cannot be registered is closed here.
    private func attach(
        _ handler: some ChannelHandler,
        to descriptor: CInt,
        _ connect: (NIOPipeBootstrap, CInt) -> EventLoopFuture<any Channel>
    ) -> EventLoopFuture<Void> {
        let handler = NIOLoopBound(handler, eventLoop: self.eventLoop)
        let bootstrap = NIOPipeBootstrap(group: self.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(handler.value)
                }
            }
        let connected = connect(bootstrap, descriptor)
        connected.whenFailure { _ in close(descriptor) }
        return connected.map { _ in }
    }

    private func goOnReading() {
        self.isPaused = false
        self.outputReader?.resume()
        self.errorReader?.resume()
    }

    /// The script takes more input, or none at all any more.
    func inputDrained() {
        let writer = self.bodyWriter
        self.bodyWriter = nil
        writer?.resume()
    }

    func received(_ bytes: ByteBuffer, on stream: CGIPipeReader.Stream) {
        guard !self.isTerminating else { return }
        self.silence.end()
        switch stream {
        case .errorOutput:
            self.batch.append(.errorText(bytes))
        case .output:
            do throws(CGIResponseError) {
                try self.assembler.received(bytes) { self.batch.append($0) }
            } catch {
                self.publish()
                self.fail(BackendError(.malformedResponse, error.rawValue))
            }
        }
    }

    func publish() {
        if self.events.publish(&self.batch) { self.isPaused = true }
    }

    func closed(_ stream: CGIPipeReader.Stream) {
        self.publish()
        switch stream {
        case .output: self.outputIsOpen = false
        case .errorOutput: self.errorOutputIsOpen = false
        }
        self.finishIfComplete()
    }

    // MARK: - The end

    private func exited(_ exit: ChildExit) {
        self.exit = exit
        self.silence.end()
        if self.isTerminating {
            // What has outlived the script must not see its input end.
            ChildProcess.signalGroup(self.child.id, SIGKILL)
            self.reap()
        } else {
            self.finishIfComplete()
        }
    }

    private func finishIfComplete() {
        guard !self.isTerminating, !self.outputIsOpen, !self.errorOutputIsOpen, self.exit != nil else { return }
        self.complete()
    }

    private func complete() {
        guard !self.isReaped else { return }
        self.publish()
        if case .signal(let number) = self.exit {
            self.events.fail(BackendError(.connectionClosed, "the script was killed by signal \(number)"))
        } else if let error = self.assembler.ended() {
            self.events.fail(error)
        } else {
            // An exit status other than 0 behind a whole answer is none of the client's business.
            self.batch.append(.end)
            self.publish()
        }
        self.reap()
    }

    private func fail(_ error: BackendError) {
        self.events.fail(error)
        self.terminate()
    }

    private func terminate() {
        guard !self.isTerminating, !self.isReaped else { return }
        self.isTerminating = true
        self.inputDrained()
        guard self.exit == nil else {
            ChildProcess.signalGroup(self.child.id, SIGKILL)
            self.reap()
            return
        }
        ChildProcess.signalGroup(self.child.id, SIGTERM)
        // What it still writes is read and dropped: a closed pipe would kill it before it has tidied up.
        self.goOnReading()
        self.killTimer = self.eventLoop.scheduleTask(in: self.timeouts.terminateGrace) {
            guard !self.isReaped else { return }
            ChildProcess.signalGroup(self.child.id, SIGKILL)
        }
    }

    private func reap() {
        guard !self.isReaped else { return }
        self.isReaped = true
        ChildProcess.reap(self.child.id)
        self.timer?.cancel()
        self.killTimer?.cancel()
        self.inputDrained()
        let (outputReader, errorReader, writer) = (self.outputReader, self.errorReader, self.writer)
        self.outputReader = nil
        self.errorReader = nil
        self.writer = nil
        outputReader?.close()
        errorReader?.close()
        writer?.close()
        self.reaped()
    }

    // MARK: - Time

    private func checkTime() {
        guard !self.isTerminating, !self.isReaped else { return }
        if self.isPaused || (!self.bodyIsFinished && self.writer?.isWritable ?? false) {
            // The client is slow, not the script.
            self.silence.end()
            return
        }
        self.silence.timePassed(self.timeouts.checkInterval)
        if self.exit != nil {
            if self.silence.lasts(self.timeouts.lingerGrace) { self.stopLingering() }
            return
        }
        self.running.timePassed(self.timeouts.checkInterval)
        if self.running.lasts(self.timeouts.run) {
            self.timedOut(BackendError(.timedOut, "the script ran for too long"))
        } else if self.silence.lasts(self.timeouts.io) {
            self.timedOut(BackendError(.timedOut, "the script gave no output for too long"))
        }
    }

    private func timedOut(_ error: BackendError) {
        var metadata = Logger.Metadata()
        metadata[key: .process] = "\(self.child.id)"
        metadata[key: .error] = .string(error.message)
        self.logger.warning("script is terminated", metadata: metadata)
        self.fail(error)
    }

    /// The script is gone, but another process holds its output open and says nothing.
    private func stopLingering() {
        if self.outputIsOpen { ChildProcess.signalGroup(self.child.id, SIGKILL) }
        self.complete()
    }
}
