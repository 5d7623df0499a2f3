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
