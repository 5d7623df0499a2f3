import CGI
import Glibc
import NIOCore

/// Where a connection is in its life. No method blocks.
struct ConnectionState {
    enum Phase {
        /// Between requests, or in the middle of a head.
        case head
        /// libfcgi has the head; a small body is not whole yet, and the handler has not been called.
        case collecting
        /// The handler has the request.
        case active
        /// The request is answered; what is left of its body is read and thrown away.
        case draining
        /// The request was refused with an answer; what comes in is thrown away until the peer closes.
        case discarding
        case closed
    }

    /// Output is sent without being asked once so much of it has come together.
    static let gatheredOutput = 32 * 1024
    /// How long a body of unknown length may take before the handler gets it as a stream.
    static let patience: Duration = .milliseconds(50)

    /// Of the channel, for what is sent; -1 when that is closed, or about to be.
    private(set) var descriptor: Int32
    var phase = Phase.head
    var headGuard = HeadGuard()
    /// The bytes of an incomplete head.
    var partialHead: ByteBuffer?
    /// Of the head, of the patience with a body of unknown length, and of draining.
    var deadline: ContinuousClock.Instant?
    var isWatched = false
    /// Counts the requests of this connection.
    var serial: UInt64 = 0
    var exchange: Exchange?
    /// Bytes thrown away in the phases `draining` and `discarding`.
    var discardedByteCount = 0
    /// Whether the peer went away before the last request had ended.
    var lostRequest = false

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    // MARK: Requests

    /// Whether the request is with the handler and has not ended.
    func isLive(_ serial: UInt64) -> Bool {
        self.phase == .active && self.serial == serial
    }

    func isGone(_ serial: UInt64) -> Bool {
        self.serial == serial && self.lostRequest
    }

    func failure(_ serial: UInt64) -> ResponderError {
        self.isGone(serial)
            ? ResponderError(.clientGone, "the web server closed the connection")
            : ResponderError(.requestEnded, "the request has ended")
    }

    // MARK: Events

    /// The channel has closed the descriptor: the peer has closed its end, or the connection broke.
    mutating func channelClosed(_ connection: Connection, _ effects: inout Effects) {
        self.descriptor = -1
        switch self.phase {
        case .head where !self.headGuard.hasBegun, .draining, .discarding, .closed:
            self.close(connection, &effects)
        case .head, .collecting, .active:
            self.fail(.disconnected, connection, &effects)
        }
    }

    /// Whether `tick` has anything to do.
    func isDue(at now: ContinuousClock.Instant, judgesPace: Bool) -> Bool {
        switch self.phase {
        case .head, .draining, .discarding: self.deadline.map { now >= $0 } ?? true
        case .collecting: judgesPace || self.deadline.map { now >= $0 } ?? false
        case .active: judgesPace || self.exchange?.outputDeadline.map { now >= $0 } ?? (self.exchange?.reader == nil)
        case .closed: true
        }
    }

    /// - Returns: whether a deadline is still to come.
    mutating func tick(at now: ContinuousClock.Instant, _ connection: Connection, _ effects: inout Effects) -> Bool {
        switch self.phase {
        case .head, .draining, .discarding:
            if let deadline, now >= deadline {
                switch self.phase {
                case .head: self.fail(.headTimedOut, connection, &effects)
                case .draining: self.fail(.drainLimit, connection, &effects)
                default: self.close(connection, &effects)
                }
            }
            self.isWatched = self.phase != .closed && self.deadline != nil
        case .collecting:
            if let deadline, now >= deadline {
                self.deadline = nil
                self.deliver(connection, &effects)
                self.isWatched = false
            } else {
                if let reason = self.exchange?.pace.judge(at: now, connection.core.paceLimits) {
                    self.fail(reason, connection, &effects)
                }
                self.isWatched = self.phase != .closed
            }
        case .active:
            if self.exchange?.reader != nil,
                let reason = self.exchange?.pace.judge(at: now, connection.core.paceLimits)
            {
                self.fail(reason, connection, &effects)
            } else if let deadline = self.exchange?.outputDeadline, now >= deadline {
                self.outputTimedOut(connection, &effects)
            }
            self.isWatched = self.exchange?.reader != nil || self.exchange?.outputDeadline != nil
        case .closed:
            self.isWatched = false
        }
        return self.isWatched
    }

    mutating func watch(_ effects: inout Effects) {
        guard !self.isWatched else { return }
        self.isWatched = true
        effects.isWatched = true
    }

    // MARK: Ends

    /// The request, or the connection, cannot go on.
    mutating func fail(_ reason: RefusalReason?, _ connection: Connection, _ effects: inout Effects) {
        effects.refusal = reason
        if self.phase == .active {
            self.lostRequest = true
            effects.goneAction = self.exchange?.goneAction
            connection.core.statistics.requestLost()
        }
        self.close(connection, &effects)
    }

    /// The handler gives the request up.
    mutating func abort(_ connection: Connection, _ effects: inout Effects) {
        connection.core.statistics.requestEnded()
        self.close(connection, &effects)
    }

    mutating func close(_ connection: Connection, _ effects: inout Effects) {
        guard self.phase != .closed else { return }
        // A child that is just being started may still hold the descriptor; the peer need not wait for its exec.
        if self.descriptor >= 0 { _ = shutdown(self.descriptor, Int32(SHUT_RDWR)) }
        self.descriptor = -1
        self.phase = .closed
        self.partialHead = nil
        self.deadline = nil
        self.discardExchange(&effects)
        effects.isClosed = true
    }

    mutating func discardExchange(_ effects: inout Effects) {
        guard let exchange = self.exchange else { return }
        exchange.wakeAll(&effects)
        self.exchange = nil
    }

    /// The end of the response has been sent.
    mutating func requestAnswered(_ connection: Connection, _ effects: inout Effects) {
        connection.core.statistics.requestEnded()
        self.exchange?.wakeAll(&effects)
        self.exchange?.goneAction = nil
        if self.exchange?.isBodyComplete == true {
            self.park(connection, &effects)
        } else {
            // L21: without this the unread body would be taken for the next request.
            self.phase = .draining
            self.exchange?.releaseContent()
            self.discardedByteCount = 0
            self.deadline = .now + connection.core.configuration.drainTimeout
            self.watch(&effects)
        }
    }

    /// Nothing is left of the request; the connection waits for the next one, or goes.
    mutating func park(_ connection: Connection, _ effects: inout Effects) {
        let keepsConnection = self.exchange?.keepsConnection == true && !connection.core.isStopping
        self.discardExchange(&effects)
        self.deadline = nil
        guard keepsConnection else { return self.close(connection, &effects) }
        self.phase = .head
        self.headGuard = HeadGuard()
    }
}
