import CGI
import FastCGI
import NIOCore

extension FastCGIConnection {
    /// What is known about the request under way.
    struct Request: ~Copyable {
        let run: FastCGIRun
        var machine: FastCGIRequestStateMachine
        var assembler: ResponseAssembler
        let sentAt: NIODeadline
        var bodyIsFinished: Bool
        /// The body's writer, who waits until the application takes more.
        var bodyWriter: CheckedContinuation<Void, Never>?
        /// What the answer ends with, once this is known.
        var outcome: Outcome?
    }

    enum Outcome {
        case ended(connectionIsReusable: Bool)
        case failed(BackendError)
    }
}

extension FastCGIConnection.Request {
    /// A record of the answer.
    /// - Parameter events: gets what it tells the consumer.
    /// - Returns: whether the application has said something: a head that comes byte by byte must be whole in time.
    mutating func received(_ record: FastCGIRecord, _ events: inout [BackendEvent]) -> Bool {
        switch self.machine.recordReceived(record) {
        case .ignore:
            return false
        case .deliverOutput(let bytes):
            do throws(CGIResponseError) {
                try self.assembler.received(bytes) { events.append($0) }
            } catch {
                self.outcome = .failed(BackendError(.malformedResponse, error.rawValue))
            }
            return self.assembler.hasHead
        case .deliverErrorOutput(let bytes):
            events.append(.errorText(bytes))
            return self.assembler.hasHead
        case .end(let status, let connectionIsReusable):
            if status != .requestComplete {
                self.outcome = .failed(BackendError(.unavailable, "the application refused the request: \(status)"))
            } else if let error = self.assembler.ended() {
                self.outcome = .failed(error)
            } else {
                events.append(.end)
                self.outcome = .ended(connectionIsReusable: connectionIsReusable)
            }
            return false
        case .fail(let error):
            self.outcome = .failed(BackendError(.malformedResponse, error.rawValue))
            return false
        }
    }
}
