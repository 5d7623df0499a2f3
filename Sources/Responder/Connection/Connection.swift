import CLinux
import Glibc
import NIOCore
import Synchronization

/// One connection of the web server. It owns its descriptor, which nobody else closes.
///
/// The descriptor is registered once, edge-triggered. Whatever happens takes the connection's lock, which covers the
/// non-blocking system calls too, since that is what keeps the descriptor from being closed, and its number given to
/// another client, in between. What is to be done outside, above all waking and calling others, is collected in
/// `Effects` and done after the lock is released.
final class Connection: Sendable {
    /// Names the connection in the epoll set; never used twice.
    let token: UInt64
    /// Whether the peer is on a unix socket.
    let isLocal: Bool
    let core: ResponderCore
    private let state: Mutex<ConnectionState>

    init(token: UInt64, descriptor: Int32, isLocal: Bool, core: ResponderCore) {
        self.token = token
        self.isLocal = isLocal
        self.core = core
        self.state = Mutex(ConnectionState(descriptor: descriptor))
    }

    // MARK: What the responder's threads call

    /// Adds the descriptor to the epoll set. From here on events come in.
    func register() {
        self.perform { state, effects in
            guard state.descriptor >= 0 else { return }
            if clinux_epoll_add(self.core.epoll, state.descriptor, ConnectionState.normalEvents, self.token) != 0 {
                state.close(self, &effects)
            }
        }
    }

    /// - Parameter events: the CLINUX_EPOLL bits.
    func eventOccurred(_ events: UInt32, _ kit: ReadKit) {
        self.perform { state, effects in
            guard state.descriptor >= 0 else { return }
            let hangup = events & (CLINUX_EPOLL_READ_HANGUP | CLINUX_EPOLL_HANGUP | CLINUX_EPOLL_ERROR) != 0
            if hangup {
                state.peerClosed(self, &effects)
            } else {
                if events & CLINUX_EPOLL_OUT != 0 { state.outputPossible(self, &effects) }
                if events & CLINUX_EPOLL_IN != 0 { state.inputPossible(self, kit, &effects) }
            }
        }
    }

    /// Looks at the deadlines.
    /// - Returns: whether one is still to come.
    func tick(at now: ContinuousClock.Instant) -> Bool {
        self.perform { state, effects in
            state.tick(at: now, self, &effects)
        }
    }

    /// Closes the connection unless a request is under way; one that has just come in counts.
    func closeIfIdle(_ kit: ReadKit) {
        self.perform { state, effects in
            guard state.descriptor >= 0, case .head = state.phase else { return }
            state.inputPossible(self, kit, &effects)
            if state.descriptor >= 0, case .head = state.phase { state.close(self, &effects) }
        }
    }

    /// Closes the connection, whatever it is doing.
    func cut() {
        self.perform { state, effects in
            guard state.descriptor >= 0 else { return }
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
        self.core.kits.with { kit in
            self.perform { state, effects in
                guard state.isLive(serial) else { return .failed(state.failure(serial)) }
                return state.takeBodyPiece(self, kit, &effects)
            }
        }
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
                state.sendOutput(flushes: true, self, &effects)
            }
            return state.outputStep(serial, limit: self.core.configuration.outputLimit)
        }
    }

    /// Whether `write` may go on.
    func outputStep(_ serial: UInt64) -> OutputStep {
        self.perform { state, _ in
            state.outputStep(serial, limit: self.core.configuration.outputLimit)
        }
    }

    /// - Returns: whether the request has left; else `waitForEnd` tells.
    func finish(_ serial: UInt64) -> Bool {
        let (isOver, needsDrain) = self.perform { state, effects in
            guard state.isLive(serial) else { return (true, false) }
            state.exchange?.isFinishing = true
            state.exchange?.wakeReader(&effects)
            state.sendOutput(flushes: true, self, &effects)
            return (!state.isLive(serial), state.phase == .draining)
        }
        if needsDrain { self.drain() }
        return isOver
    }

    /// Reads and throws away what has come in of an unread body.
    func drain() {
        self.core.kits.with { kit in
            self.perform { state, effects in
                guard state.descriptor >= 0, state.phase == .draining else { return }
                state.inputPossible(self, kit, &effects)
            }
        }
    }

    func abort(_ serial: UInt64) {
        self.perform { state, effects in
            guard state.isLive(serial) else { return }
            state.abort(self, &effects)
        }
    }

    func onClientGone(_ action: @escaping @Sendable () -> Void, _ serial: UInt64) {
        let isGone = self.perform { state, _ in
            if state.isLive(serial) {
                state.exchange?.goneAction = action
                return false
            }
            return state.isGone(serial)
        }
        if isGone { action() }
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
            await withUnsafeContinuation { continuation in
                let isNew = self.perform { state, effects in
                    guard state.isLive(serial), waiter == .end || !Task.isCancelled else { return true }
                    return !state.register(continuation, as: waiter, self, &effects)
                }
                if isNew { continuation.resume() }
            }
        } onCancel: {
            guard waiter != .end else { return }
            self.perform { state, effects in
                guard state.isLive(serial) else { return }
                switch waiter {
                case .reader: state.exchange?.wakeReader(&effects)
                case .writer: state.exchange?.wakeWriter(&effects)
                case .end: break
                }
            }
        }
    }

    // MARK: -

    /// Decides under the lock, acts after it.
    @discardableResult
    private func perform<Result: Sendable>(
        _ body: (inout ConnectionState, inout Effects) -> Result
    ) -> Result {
        var effects = Effects()
        let result = self.state.withLock { state in
            body(&state, &effects)
        }
        effects.perform(on: self)
        return result
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

    func perform(on connection: Connection) {
        if self.isWatched { connection.core.deadlines.watch(connection) }
        if self.isClosed { connection.core.connectionClosed(connection) }
        if let refusal { connection.core.refused(refusal) }
        self.reader?.resume()
        self.writer?.resume()
        self.ended?.resume()
        self.goneAction?()
        if let delivered { connection.core.handler.received(delivered) }
    }
}
