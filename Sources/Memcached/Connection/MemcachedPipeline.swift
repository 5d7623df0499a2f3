import DequeModule
import NIOCore

/// One memcached connection: commands leave in order and answers come back in the same order.
///
/// Each command carries a number as its opaque (`O`), and every answer that can carry it must name the oldest one: anything
/// else means that the stream is out of step. A value: the waiters, the time and the channel are outside.
struct MemcachedPipeline<Waiter> {
    enum Expectation: Sendable {
        /// `VA` or `EN`
        case value
        /// `VA` or `EN`, with another program's flags
        case foreignValue
        /// `HD`, `NS`, `EX` or `NF`
        case storage
        /// `HD`, `EX` or `NF`
        case deletion
        case noop, version, settings, statistics
    }

    enum SubmitAction: Equatable {
        case write(opaque: UInt64)
        case refuse(MemcachedError.Code)
    }

    enum ReplyAction {
        case complete(Waiter, MemcachedReply)
        /// Completes the first, then the connection must be closed: the rest failed.
        case completeAndClose(Waiter, MemcachedReply, rest: Deque<Failed>)
        /// The connection must be closed and never be read again.
        case close(MemcachedError, Deque<Failed>)
        case ignore
    }

    enum TimerAction {
        /// Nothing is unanswered.
        case idle
        case wait(until: NIODeadline)
        /// The oldest is overdue, by so much. If it was this loop that was late its answer may be in the socket already, or it
        /// may not even have been sent: read, and ask again after as long.
        case lookAgain(late: TimeAmount)
        /// The connection must be closed: a late answer must never meet another command.
        case close(Deque<Failed>)
    }

    struct Failed {
        let waiter: Waiter
        let error: MemcachedError
    }

    private struct Entry {
        let waiter: Waiter
        let expectation: Expectation
        let opaque: UInt64
        let bytes: Int
        let deadline: NIODeadline
    }

    private let maximumCommands: Int
    private let maximumBytes: Int
    private var entries = Deque<Entry>()
    private var bytes = 0
    private var lastOpaque: UInt64 = 0
    private var overdueOpaque: UInt64?
    private(set) var isClosed = false

    init(maximumCommands: Int, maximumBytes: Int) {
        self.maximumCommands = maximumCommands
        self.maximumBytes = maximumBytes
    }

    var count: Int { self.entries.count }

    /// - Parameters:
    ///   - bytes: of the value of a write, counted until it is answered.
    ///   - deadline: never before the one of an earlier command.
    mutating func commandSubmitted(
        _ waiter: Waiter,
        expecting expectation: Expectation,
        bytes: Int,
        deadline: NIODeadline
    ) -> SubmitAction {
        guard !self.isClosed else { return .refuse(.connectionClosed) }
        guard self.entries.count < self.maximumCommands, self.bytes == 0 || bytes <= self.maximumBytes - self.bytes
        else { return .refuse(.queueFull) }
        self.lastOpaque += 1
        self.bytes += bytes
        self.entries.append(
            Entry(
                waiter: waiter,
                expectation: expectation,
                opaque: self.lastOpaque,
                bytes: bytes,
                deadline: deadline
            )
        )
        return .write(opaque: self.lastOpaque)
    }

    mutating func replyReceived(_ reply: MemcachedWireReply) -> ReplyAction {
        guard !self.isClosed else { return .ignore }
        guard let entry = self.entries.first else {
            return self.close(Self.outOfStep("an answer that nobody asked for"))
        }
        if case .refusal(let refusal) = reply {
            let code: MemcachedError.Code = refusal == .unknownCommand ? .outOfStep : .unusableServer
            return self.close(MemcachedError(code, mayHaveReachedServer: true, refusal.rawValue))
        }
        guard let answer = Self.answer(reply, to: entry) else {
            return self.close(Self.outOfStep("the answer to another command"))
        }
        self.entries.removeFirst()
        self.bytes -= entry.bytes
        if case .clientError(let dataWasSwallowed) = reply, entry.expectation == .storage, !dataWasSwallowed {
            // The data of a write whose line was refused runs as commands.
            return .completeAndClose(entry.waiter, answer, rest: self.connectionClosed())
        }
        return .complete(entry.waiter, answer)
    }

    mutating func timerFired(at now: NIODeadline) -> TimerAction {
        guard let oldest = self.entries.first else { return .idle }
        guard oldest.deadline <= now else { return .wait(until: oldest.deadline) }
        guard self.overdueOpaque == oldest.opaque else {
            self.overdueOpaque = oldest.opaque
            return .lookAgain(late: now - oldest.deadline)
        }
        return .close(
            self.fail { entry in
                entry.deadline <= now
                    ? MemcachedError(.timedOut, mayHaveReachedServer: true, "no answer in time")
                    : Self.connectionClosedError
            }
        )
    }

    /// Nothing is answered any more; all that is in flight has failed.
    mutating func connectionClosed() -> Deque<Failed> {
        self.fail { _ in Self.connectionClosedError }
    }

    /// The connection cannot be read any more: the oldest gets the reason.
    mutating func failed(_ error: MemcachedError) -> Deque<Failed> {
        var isFirst = true
        return self.fail { _ in
            defer { isFirst = false }
            return isFirst ? error : Self.connectionClosedError
        }
    }

    private mutating func close(_ error: MemcachedError) -> ReplyAction {
        .close(error, self.failed(error))
    }

    private mutating func fail(_ error: (Entry) -> MemcachedError) -> Deque<Failed> {
        self.isClosed = true
        self.bytes = 0
        let entries = self.entries
        self.entries = []
        var failed = Deque<Failed>(minimumCapacity: entries.count)
        for entry in entries { failed.append(Failed(waiter: entry.waiter, error: error(entry))) }
        return failed
    }

    private static func answer(_ reply: MemcachedWireReply, to entry: Entry) -> MemcachedReply? {
        switch (reply, entry.expectation) {
        case (.value(let value, let flags), .value):
            guard flags.opaque == entry.opaque, let token = flags.token, let seconds = flags.secondsToLive
            else { return nil }
            return .hit(value: value, token: token, secondsToLive: seconds < 0 ? nil : Int(seconds))
        case (.value(let value, let flags), .foreignValue):
            guard flags.opaque == entry.opaque, let clientFlags = flags.clientFlags else { return nil }
            return .fetched(value: value, flags: clientFlags)
        case (.miss(let flags), .value), (.miss(let flags), .foreignValue):
            return flags.opaque == entry.opaque ? .miss : nil
        case (.stored(let flags), .storage):
            guard flags.opaque == entry.opaque, let token = flags.token else { return nil }
            return .stored(token: token)
        case (.stored(let flags), .deletion):
            return flags.opaque == entry.opaque ? .deleted : nil
        case (.notStored(let flags), .storage):
            return flags.opaque == entry.opaque ? .notStored : nil
        case (.exists(let flags), .storage), (.exists(let flags), .deletion):
            return flags.opaque == entry.opaque ? .exists : nil
        case (.notFound(let flags), .storage), (.notFound(let flags), .deletion):
            return flags.opaque == entry.opaque ? .notFound : nil
        case (.noop, .noop):
            return .noop
        case (.version(let text), .version):
            return .version(text)
        case (.report(let report), .settings):
            return .settings(report.settings)
        case (.report(let report), .statistics):
            return .statistics(report.statistics)
        case (.serverError(let kind), _):
            return .serverError(kind)
        case (.clientError, _):
            return .clientError
        default:
            return nil
        }
    }

    private static var connectionClosedError: MemcachedError {
        MemcachedError(.connectionClosed, mayHaveReachedServer: true, "the connection ended before the answer")
    }

    private static func outOfStep(_ message: String) -> MemcachedError {
        MemcachedError(.outOfStep, mayHaveReachedServer: true, message)
    }
}
