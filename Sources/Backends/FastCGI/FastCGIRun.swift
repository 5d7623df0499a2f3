import CGI
import FastCGI
import NIOCore
import Synchronization

/// One request, from its arrival until its end: what is sent, where it is sent, and what comes back.
///
/// The pool holds it while it waits, then the connection does. Safe to use from any thread.
final class FastCGIRun: Sendable {
    /// What is written at once: the request without its body, and a small body with its end.
    let head: ByteBuffer
    /// A complete body that is too long to be copied behind `head`.
    let body: ByteBuffer?
    let bodyIsComplete: Bool
    let eventLoop: any EventLoop
    let answersHead: Bool
    /// How soon after sending a kept-alive connection must be lost for the request to be repeated.
    let repeatWindow: TimeAmount
    /// Whether doing it twice is as good as once (RFC 9110 §9.2.2).
    let isIdempotent: Bool
    let events = ResponseEvents()

    private enum Phase {
        /// Waits for a connection.
        case starting
        case active(FastCGIConnection)
        /// Answered, failed or given up.
        case over
    }

    private struct State {
        var phase = Phase.starting
        /// What `begin` throws.
        var failure: BackendError?
        var isStarted = false
        var beginning: UnsafeContinuation<Void, Never>?
        var triedUpstreams: [Int] = []
        var isRepeated = false
        var lostConnectionCount = 0
    }

    private let state = Mutex(State())

    /// An application that closes what it has just accepted is not asked for ever.
    private static let maximumLostConnections = 3

    /// A body up to this length is copied behind the parameters: one write, and no list of buffers.
    private static let copiedBodyLength = 16 * 1_024

    init(_ request: BackendRequest, repeatWindow: TimeAmount) throws(FastCGIError) {
        let parameters = request.parameters
        var head = ByteBuffer()
        // Each pair begins at most one record; around them are three headers and more.
        head.reserveCapacity(parameters.maximumEncodedByteCount + 8 * parameters.count + 64)
        try FastCGIRequestEncoder.encodeHead(parameters: parameters, keepsConnection: true, into: &head)
        switch request.body {
        case .complete(let body) where body.readableBytes <= Self.copiedBodyLength:
            FastCGIRequestEncoder.encodeInput(body, into: &head)
            FastCGIRequestEncoder.encodeInputEnd(into: &head)
            self.body = nil
            self.bodyIsComplete = true
        case .complete(let body):
            self.body = body
            self.bodyIsComplete = true
        case .streamed:
            self.body = nil
            self.bodyIsComplete = false
        }
        self.head = head
        self.eventLoop = request.eventLoop
        let method = parameters.string("REQUEST_METHOD") ?? "GET"
        self.answersHead = method == "HEAD"
        self.isIdempotent =
            switch method {
            case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE": true
            default: false
            }
        self.repeatWindow = self.isIdempotent ? repeatWindow * 10 : repeatWindow
    }

    var loopID: ObjectIdentifier { ObjectIdentifier(self.eventLoop) }

    var connection: FastCGIConnection? {
        self.state.withLock { state in
            if case .active(let connection) = state.phase { connection } else { nil }
        }
    }

    var isOver: Bool {
        self.state.withLock { state in
            if case .over = state.phase { true } else { false }
        }
    }

    /// A connection sends the request.
    /// - Returns: `false` if it was given up meanwhile: the connection is free again.
    func activate(on connection: FastCGIConnection) -> Bool {
        let (isActive, beginning) = self.state.withLock { state in
            guard case .starting = state.phase else { return (false, nil as UnsafeContinuation<Void, Never>?) }
            state.phase = .active(connection)
            state.isStarted = true
            defer { state.beginning = nil }
            return (true, state.beginning)
        }
        beginning?.resume()
        return isActive
    }

    /// An upstream could not be reached for this request.
    /// - Returns: all of which that is true.
    func upstreamFailed(_ upstream: Int) -> [Int] {
        self.state.withLock { state in
            if !state.triedUpstreams.contains(upstream) { state.triedUpstreams.append(upstream) }
            return state.triedUpstreams
        }
    }

    /// The connection was lost before anything was answered.
    /// - Parameter nothingWasSent: then repeating is always right, and done a few times; else it is done once.
    /// - Returns: whether to send the request again, on a new connection.
    func repeats(nothingWasSent: Bool) -> Bool {
        self.state.withLock { state in
            if case .over = state.phase { return false }
            if nothingWasSent {
                guard state.lostConnectionCount < Self.maximumLostConnections else { return false }
                state.lostConnectionCount += 1
            } else {
                guard !state.isRepeated, self.bodyIsComplete else { return false }
                state.isRepeated = true
            }
            state.phase = .starting
            return true
        }
    }

    /// The application has ended the request.
    func finish() {
        self.state.withLock { $0.phase = .over }
    }

    func fail(_ error: BackendError) {
        let (beginning, isStarted) = self.state.withLock { state in
            state.phase = .over
            let isStarted = state.isStarted
            if !isStarted, state.failure == nil { state.failure = error }
            defer { state.beginning = nil }
            return (state.beginning, isStarted)
        }
        if isStarted {
            self.events.fail(error)
        } else {
            beginning?.resume()
        }
    }

    /// The caller wants no more.
    /// - Returns: the connection that works for this request.
    func giveUp() -> FastCGIConnection? {
        let connection = self.state.withLock { state -> FastCGIConnection? in
            defer { state.phase = .over }
            if case .active(let connection) = state.phase { return connection }
            return nil
        }
        self.events.discard()
        return connection
    }

    /// Waits until the request is being sent. Inline: see `FastCGIBackend.result`.
    @inline(__always)
    func waitForStart() async throws(BackendError) {
        await withUnsafeContinuation { continuation in
            let isDecided = self.state.withLock { state in
                if state.isStarted || state.failure != nil { return true }
                state.beginning = continuation
                return false
            }
            if isDecided { continuation.resume() }
        }
        if let failure = self.startFailure { throw failure }
    }

    /// `begin` need not wait.
    var isStarted: Bool {
        self.state.withLock { $0.isStarted }
    }

    private var startFailure: BackendError? {
        self.state.withLock { $0.failure }
    }
}
