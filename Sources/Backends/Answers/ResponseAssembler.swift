import CGI
import NIOCore

/// Makes events out of a script's output: the head, parsed, then the body, held to what the head says.
///
/// A body longer than its Content-Length is cut, a shorter one is an error at the end. Answers to HEAD, 204 and 304
/// have no body: what a script sends nevertheless is dropped.
struct ResponseAssembler {
    private enum State {
        case head(CGIResponseParser)
        /// - Parameter remaining: what the Content-Length still promises, if there is one.
        case body(remaining: Int?)
        case bodiless
    }

    private var state: State
    private let answersHead: Bool

    init(limits: CGIResponseLimits, answersHead: Bool) {
        self.state = .head(CGIResponseParser(limits: limits))
        self.answersHead = answersHead
    }

    var hasHead: Bool {
        if case .head = self.state { false } else { true }
    }

    mutating func received(
        _ bytes: ByteBuffer,
        emit: (BackendEvent) -> Void
    ) throws(CGIResponseError) {
        switch self.state {
        case .head(var parser):
            // The parser must be the only owner of its buffer while it grows.
            self.state = .bodiless
            guard let (head, body) = try parser.receive(bytes) else {
                self.state = .head(parser)
                return
            }
            self.begin(head, emit: emit)
            if body.readableBytes > 0 {
                try self.received(body, emit: emit)
            }
        case .body(.none):
            emit(.body(bytes))
        case .body(.some(let remaining)):
            guard remaining > 0 else { return }
            var bytes = bytes
            if bytes.readableBytes > remaining, let allowed = bytes.readSlice(length: remaining) {
                bytes = allowed
            }
            self.state = .body(remaining: remaining - bytes.readableBytes)
            emit(.body(bytes))
        case .bodiless:
            break
        }
    }

    /// The output has ended.
    /// - Returns: what is wrong with that, if anything.
    func ended() -> BackendError? {
        switch self.state {
        case .head:
            BackendError(.malformedResponse, CGIResponseError.endedInsideHead.rawValue)
        case .body(.some(let remaining)) where remaining > 0:
            BackendError(.malformedResponse, "the body is shorter than its Content-Length")
        case .body, .bodiless:
            nil
        }
    }

    private mutating func begin(_ head: CGIResponseHead, emit: (BackendEvent) -> Void) {
        var head = head
        if head.status == 204 {
            // RFC 9110 §8.6: none with 204.
            head.remove("content-length")
        }
        if self.answersHead || head.status == 204 || head.status == 304 {
            self.state = .bodiless
        } else {
            self.state = .body(remaining: head.contentLength)
        }
        emit(.head(head))
    }
}
