package import CGI
package import NIOCore

/// One request for a backend.
package struct BackendRequest: Sendable {
    package enum Body: Sendable {
        /// The whole body; empty for a request without one.
        case complete(ByteBuffer)
        /// The body follows by `writeBody` and `finishBody`.
        case streamed
    }

    package var parameters: Parameters
    package var body: Body
    /// The event loop that the caller runs on: connections of this loop are preferred.
    package var eventLoop: any EventLoop

    package init(parameters: Parameters, body: Body, eventLoop: any EventLoop) {
        self.parameters = parameters
        self.body = body
        self.eventLoop = eventLoop
    }
}

/// What runs the application's scripts.
package protocol Backend: Sendable {
    /// Waits for a place (a connection, a process), at most the backend's `queue_timeout`, and sends the request.
    ///
    /// Cancelling the calling task gives up the place in the queue.
    /// - Throws: nothing was executed, except for `.connectionClosed`.
    /// - Parameter request: given away, so that its parameters need no memory while it waits.
    func begin(_ request: consuming BackendRequest) async throws(BackendError) -> any BackendExchange

    /// Accepts no new request and returns once the exchanges in flight have ended.
    func shutDown() async
}

/// A request under way. Used by one task for the answer, and by one more for the body where it is streamed.
package protocol BackendExchange: AnyObject, Sendable {
    /// Passes a piece of the request's body on. Returns when the backend takes more.
    ///
    /// Does nothing once the backend has ended the request: what it did not read does not matter any more.
    func writeBody(_ chunk: ByteBuffer) async throws(BackendError)

    /// Ends the body cleanly.
    func finishBody() async throws(BackendError)

    /// The next event in the order in which the backend sent them; `.head` comes before any `.body`, nothing comes
    /// after `.end`. The backend is read no faster than this is called.
    ///
    /// `abort` ends the wait, with `.cancelled`; that the task is cancelled does not.
    func next() async throws(BackendError) -> BackendEvent

    /// What `next()` returns or throws where it does not wait; nil where it would. An asynchronous call costs more than the
    /// event.
    func nextIfBuffered() throws(BackendError) -> BackendEvent?

    /// Gives the request up: FCGI_ABORT_REQUEST and the connection closed, or the process group killed. The backend
    /// never sees a clean end of an unfinished body. Idempotent, and without effect after the end.
    func abort()
}

package enum BackendEvent: Sendable, Equatable {
    case head(CGIResponseHead)
    case body(ByteBuffer)
    /// A piece of the backend's error stream (FCGI_STDERR, a CGI's stderr), not split into lines.
    case errorText(ByteBuffer)
    case end
}

package struct BackendError: Error, Sendable, Equatable {
    package enum Code: String, Sendable {
        /// No upstream could be reached, or the script cannot be run for a reason that is not the request's.
        case unavailable
        /// No place became free in `queue_timeout`.
        case queueTimedOut
        /// The queue is full.
        case queueFull
        /// The backend did not answer in time.
        case timedOut
        /// The backend went away before it had ended its answer.
        case connectionClosed
        /// The head is malformed or too long, or the protocol was broken.
        case malformedResponse
        /// There is no such script.
        case notFound
        /// The script may not be run: outside the root, not executable.
        case forbidden
        /// The request cannot be carried to this backend: a parameter is too long or has a byte that would be cut.
        case malformedRequest
        /// The caller gave up.
        case cancelled
    }

    package let code: Code
    /// For the log: names the backend and what happened, never a credential.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
