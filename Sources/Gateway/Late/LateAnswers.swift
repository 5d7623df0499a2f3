import DequeModule
import Logging
import NIOCore
import Sessions

/// The requests of one event loop that may still answer about their session by the socket for late answers.
///
/// Kept while the request runs, and for `late_timeout` after it, at most `maximumEnded` of them with at most
/// `maximumEndedBytes` of sessions: beyond that the oldest is forgotten, and its late answer is refused. All on the
/// event loop.
final class LateAnswers {
    private struct Ended {
        var token: RequestToken
        var until: NIODeadline
        var bytes: Int
    }

    static let maximumEnded = 4_096
    static let maximumEndedBytes = 64 << 20

    private let eventLoop: any EventLoop
    let timeout: TimeAmount
    private var visits: [RequestToken: SessionVisit] = [:]
    private var ended = Deque<Ended>()
    private var endedBytes = 0
    private var missing = SeldomCount()

    init(eventLoop: any EventLoop, timeout: Duration) {
        self.eventLoop = eventLoop
        self.timeout = .nanoseconds(Int64(clamping: timeout.components.seconds) * 1_000_000_000)
    }

    func requestStarted(_ visit: SessionVisit) {
        self.eventLoop.assertInEventLoop()
        self.visits[visit.token] = visit
    }

    /// - Parameter mayAnswerLate: whether the backend may go on after its response, and has not answered for good.
    func requestEnded(_ visit: SessionVisit, mayAnswerLate: Bool) {
        self.eventLoop.assertInEventLoop()
        guard mayAnswerLate else {
            self.visits[visit.token] = nil
            return
        }
        let now = NIODeadline.now()
        let bytes = visit.size
        while let oldest = self.ended.first,
            oldest.until <= now || self.ended.count >= Self.maximumEnded
                || self.endedBytes + bytes > Self.maximumEndedBytes
        {
            self.ended.removeFirst()
            self.endedBytes -= oldest.bytes
            if let visit = self.visits.removeValue(forKey: oldest.token), visit.isAwaited { self.didNotCome(visit) }
        }
        self.ended.append(Ended(token: visit.token, until: now + self.timeout, bytes: bytes))
        self.endedBytes += bytes
    }

    private func didNotCome(_ visit: SessionVisit) {
        guard let count = self.missing.happened(at: .now) else { return }
        visit.site.logger.notice(
            "an announced answer about a session did not come: the session is as it was",
            metadata: ["requests": "\(count)"]
        )
    }

    /// The visit that a late answer belongs to; nil where it came too late or its token is not one of ours.
    func visit(for token: RequestToken) -> SessionVisit? {
        self.eventLoop.assertInEventLoop()
        return self.visits[token]
    }
}
