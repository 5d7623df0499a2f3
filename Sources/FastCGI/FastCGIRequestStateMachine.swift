package import NIOCore

/// One request on a connection, from BEGIN_REQUEST to its end.
package enum FastCGIRequestStateMachine: ~Copyable {
    /// The body is on its way. Becomes `awaiting`, `ended` or `broken`.
    case sending(Answer)
    /// The whole request has been sent. Becomes `ended` or `broken`.
    case awaiting(Answer)
    /// The application has ended the request, or nobody waits for it any more.
    case ended
    /// The protocol was broken; nothing that follows counts.
    case broken

    package struct Answer: Sendable {
        /// Whether any byte of an answer has come.
        var hasBegun = false
        /// Whether the empty STDOUT record has come.
        var outputHasEnded = false
    }

    package enum RecordAction: Sendable, Equatable {
        case ignore
        case deliverOutput(ByteBuffer)
        case deliverErrorOutput(ByteBuffer)
        /// The request is over.
        /// - Parameter connectionIsReusable: `false` where part of the request was not sent: the application would
        ///   take the rest for something else.
        case end(FastCGIProtocolStatus, connectionIsReusable: Bool)
        /// Close the connection: it is out of step.
        case fail(FastCGIError)
    }

    package enum CloseAction: Sendable, Equatable {
        case ignore
        /// - Parameter answerHasBegun: if not, nobody knows whether the application has seen the request at all.
        case fail(answerHasBegun: Bool)
    }

    package enum AbortAction: Sendable, Equatable {
        case ignore
        case sendAbortAndClose
    }

    package init(bodyIsComplete: Bool) {
        self = bodyIsComplete ? .awaiting(Answer()) : .sending(Answer())
    }

    /// The last byte of the body and its end have been sent.
    package mutating func bodyFinished() {
        switch consume self {
        case .sending(let answer): self = .awaiting(answer)
        case .awaiting(let answer): self = .awaiting(answer)
        case .ended: self = .ended
        case .broken: self = .broken
        }
    }

    package mutating func recordReceived(_ record: FastCGIRecord) -> RecordAction {
        switch consume self {
        case .sending(var answer):
            let action = Self.recordReceived(record, bodyIsComplete: false, &answer)
            switch action {
            case .end: self = .ended
            case .fail: self = .broken
            default: self = .sending(answer)
            }
            return action
        case .awaiting(var answer):
            let action = Self.recordReceived(record, bodyIsComplete: true, &answer)
            switch action {
            case .end: self = .ended
            case .fail: self = .broken
            default: self = .awaiting(answer)
            }
            return action
        case .ended:
            self = .broken
            return .fail(.recordOutOfTurn)
        case .broken:
            self = .broken
            return .ignore
        }
    }

    package mutating func connectionClosed() -> CloseAction {
        switch consume self {
        case .sending(let answer):
            self = .broken
            return .fail(answerHasBegun: answer.hasBegun)
        case .awaiting(let answer):
            self = .broken
            return .fail(answerHasBegun: answer.hasBegun)
        case .ended:
            self = .ended
            return .ignore
        case .broken:
            self = .broken
            return .ignore
        }
    }

    package mutating func aborted() -> AbortAction {
        switch consume self {
        case .sending:
            self = .broken
            return .sendAbortAndClose
        case .awaiting:
            self = .broken
            return .sendAbortAndClose
        case .ended:
            self = .ended
            return .ignore
        case .broken:
            self = .broken
            return .ignore
        }
    }

    private static func recordReceived(
        _ record: FastCGIRecord,
        bodyIsComplete: Bool,
        _ answer: inout Answer
    ) -> RecordAction {
        answer.hasBegun = true
        switch record {
        case .output(let bytes):
            guard !answer.outputHasEnded else { return .fail(.recordOutOfTurn) }
            guard bytes.readableBytes > 0 else {
                answer.outputHasEnded = true
                return .ignore
            }
            return .deliverOutput(bytes)
        case .errorOutput(let bytes):
            return bytes.readableBytes > 0 ? .deliverErrorOutput(bytes) : .ignore
        case .endRequest(_, let status):
            return .end(status, connectionIsReusable: bodyIsComplete)
        }
    }
}
