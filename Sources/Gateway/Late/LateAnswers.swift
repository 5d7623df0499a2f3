import DequeModule
import Logging
import NIOCore
import Sessions

/// The requests of one event loop that may still answer about their session by the socket for late answers.
///
/// Kept while the request runs, and for `late_timeout` after it: at most `EndedRequests.maximumCount` that have announced an
/// answer, and as many that have not, each kind with at most `EndedRequests.maximumBytes` of sessions. Beyond that the oldest
/// of the kind is forgotten, and its late answer is refused. All on the event loop.
final class LateAnswers {
    private struct Entry {
        var visit: SessionVisit
        /// What the visit's store belongs to.
        var generation: LoopGeneration
        /// Of an ended request.
        var until: NIODeadline?
    }

    private let eventLoop: any EventLoop
    let timeout: TimeAmount
    private var entries: [RequestToken: Entry] = [:]
    /// Those that have announced an answer are not displaced by the many that probably have none.
    private var announced = EndedRequests()
    private var others = EndedRequests()
    private var alarm: Scheduled<Void>?
    private var missing = SeldomCount()
    private var isClosed = false

    init(eventLoop: any EventLoop, timeout: Duration) {
        self.eventLoop = eventLoop
        self.timeout = TimeAmount(timeout)
    }

    /// - Parameter generation: what the visit's store belongs to: in use until the request is forgotten.
    func requestStarted(_ visit: SessionVisit, of generation: LoopGeneration) {
        self.eventLoop.assertInEventLoop()
        self.entries[visit.token] = Entry(visit: visit, generation: generation)
    }

    /// - Parameter mayAnswerLate: whether the backend may go on after its response, and has not answered for good.
    func requestEnded(_ visit: SessionVisit, mayAnswerLate: Bool) {
        self.eventLoop.assertInEventLoop()
        guard mayAnswerLate, !self.isClosed, self.timeout > .zero,
            let generation = self.entries[visit.token]?.generation
        else {
            self.entries[visit.token] = nil
            return
        }
        let until = NIODeadline.now() + self.timeout
        let ended = EndedRequest(token: visit.token, generation: generation, until: until, bytes: visit.size)
        generation.useBegan()
        self.entries[visit.token]?.until = until
        let displaced = visit.isAwaited ? self.announced.append(ended) : self.others.append(ended)
        for request in displaced { self.forget(request) }
        if self.alarm == nil { self.setAlarm(at: until) }
    }

    /// The visit that a late answer belongs to; nil where it came too late or its token is not one of ours.
    ///
    /// What it is saved with is in use from now on: the caller ends that when the answer has been carried out.
    func beginAnswer(_ token: RequestToken) -> (visit: SessionVisit, generation: LoopGeneration)? {
        self.eventLoop.assertInEventLoop()
        guard let entry = self.entries[token] else { return nil }
        if let until = entry.until, until <= .now() { return nil }
        entry.generation.useBegan()
        return (entry.visit, entry.generation)
    }

    /// Forgets what has ended, now and from now on.
    func close() {
        self.eventLoop.assertInEventLoop()
        self.isClosed = true
        self.alarm?.cancel()
        self.forget(endedBy: .distantFuture)
    }

    private func setAlarm(at deadline: NIODeadline) {
        self.alarm = self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(deadline: deadline) {
            self.alarm = nil
            self.forget(endedBy: .now())
            if let next = [self.announced.first?.until, self.others.first?.until].compactMap({ $0 }).min() {
                self.setAlarm(at: next)
            }
        }
    }

    private func forget(endedBy now: NIODeadline) {
        for request in self.announced.remove(endedBy: now) + self.others.remove(endedBy: now) { self.forget(request) }
    }

    private func forget(_ request: EndedRequest) {
        let visit = self.entries.removeValue(forKey: request.token)?.visit
        request.generation.useEnded()
        guard let visit, visit.isAwaited, let count = self.missing.happened(at: .now) else { return }
        visit.site.logger.notice(
            "an announced answer about a session did not come: the session is as it was",
            metadata: ["requests": "\(count)"]
        )
    }
}

/// A request whose response has ended and whose backend may still answer.
private struct EndedRequest {
    var token: RequestToken
    var generation: LoopGeneration
    var until: NIODeadline
    /// Of its session.
    var bytes: Int
}

/// A bounded line of them, the oldest first.
private struct EndedRequests {
    static let maximumCount = 4_096
    static let maximumBytes = 64 << 20

    private var requests = Deque<EndedRequest>()
    private var bytes = 0

    var first: EndedRequest? { self.requests.first }

    /// - Returns: those that have to go to make room.
    mutating func append(_ request: EndedRequest) -> [EndedRequest] {
        var displaced: [EndedRequest] = []
        while self.requests.count >= Self.maximumCount || self.bytes + request.bytes > Self.maximumBytes,
            let oldest = self.popFirst()
        {
            displaced.append(oldest)
        }
        self.requests.append(request)
        self.bytes += request.bytes
        return displaced
    }

    mutating func remove(endedBy now: NIODeadline) -> [EndedRequest] {
        var removed: [EndedRequest] = []
        while let oldest = self.requests.first, oldest.until <= now {
            removed.append(oldest)
            _ = self.popFirst()
        }
        return removed
    }

    private mutating func popFirst() -> EndedRequest? {
        guard let oldest = self.requests.popFirst() else { return nil }
        self.bytes -= oldest.bytes
        return oldest
    }
}
