package import CGI
package import NIOCore

/// A request from the web server, with its head and, where it is small, its body.
///
/// Used by one task for the response and, where the body is streamed, by one more for the body. No method blocks its
/// thread. It ends with `finish()` or `abort()`; one that is dropped without either is aborted.
package final class IncomingRequest: Sendable {
    package enum Body: Sendable {
        /// The whole body, empty for a request without one. Its length is CONTENT_LENGTH's, where there is one.
        case complete(ByteBuffer)
        /// The body comes through `nextBodyChunk()`.
        case streamed(length: Int?)
    }

    /// One pair per name, without NUL and without `=` in a name: repeated HTTP_COOKIE values are joined by "; ", of
    /// other repeated names the last value counts, as with php-fpm.
    package let parameters: Parameters
    package let body: Body

    private let connection: Connection
    private let serial: UInt64

    init(connection: Connection, serial: UInt64, parameters: Parameters, body: Body) {
        self.connection = connection
        self.serial = serial
        self.parameters = parameters
        self.body = body
    }

    deinit {
        self.abort()
    }

    /// Where it is handed to the handler. Its methods may be called from elsewhere, but cost a hop then.
    package var eventLoop: any EventLoop { self.connection.eventLoop }

    /// The next piece of a streamed body, at most 32 KiB but for the first one, which has what came with the head;
    /// nil at its clean end, which is there only when the body is as long as announced. A body that is not streamed
    /// has no pieces.
    ///
    /// Nothing is read ahead: what nobody asks for stays in the socket and stops the web server.
    /// - Throws: `.clientGone` also where the peer is too slow or breaks the protocol; `.cancelled`, after which the
    ///   next call goes on where this one was; `.requestEnded`.
    package func nextBodyChunk() async throws(ResponderError) -> ByteBuffer? {
        guard case .streamed = self.body else { return nil }
        while true {
            switch await self.connection.call({ [serial] in $0.takeBodyPiece(serial) }) {
            case .piece(let piece): return piece
            case .end: return nil
            case .failed(let error): throw error
            case .wait:
                guard !Task.isCancelled else { throw ResponderError(.cancelled, "waiting for the body was cancelled") }
                await self.connection.wait(as: .reader, self.serial)
            }
        }
    }

    /// Appends bytes to the response as the web server shall see it (RFC 3875 §6). They are sent with `flush()`,
    /// `finish()`, or once 32 KiB have come together.
    ///
    /// Returns at once unless more than `outputLimit` bytes wait for a slow peer.
    /// - Throws: `.clientGone`; `.requestEnded`; `.cancelled` if the task is cancelled while it waits, the bytes being
    ///   queued all the same.
    package func write(_ bytes: ByteBuffer) async throws(ResponderError) {
        try await self.send(bytes, to: .output, flushes: false)
    }

    /// Appends text to the error stream, in order with `write`.
    package func writeErrorText(_ bytes: ByteBuffer) async throws(ResponderError) {
        try await self.send(bytes, to: .errors, flushes: false)
    }

    /// Sends what has been written. Returns when the peer has taken it but for `outputLimit` bytes.
    package func flush() async throws(ResponderError) {
        try await self.send(nil, to: .output, flushes: true)
    }

    @inline(__always)
    private func send(
        _ bytes: ByteBuffer?,
        to stream: OutputQueue.Stream,
        flushes: Bool
    ) async throws(ResponderError) {
        var step =
            self.connection.isHere
            ? self.connection.write(bytes, to: stream, flushes: flushes, self.serial)
            : await self.connection.call { [serial] in $0.write(bytes, to: stream, flushes: flushes, serial) }
        while true {
            switch step {
            case .done: return
            case .failed(let error): throw error
            case .wait:
                guard !Task.isCancelled else { throw ResponderError(.cancelled, "waiting for the peer was cancelled") }
                await self.connection.wait(as: .writer, self.serial)
                step = await self.connection.call { [serial] in $0.outputStep(serial) }
            }
        }
    }

    /// Ends the request cleanly and returns when its end has been sent, or the client is gone.
    ///
    /// What the peer still sends of an unread body is read and thrown away afterwards, up to `drainLimit` bytes and
    /// for `drainTimeout`; the connection is closed when that is not enough. Not stopped by cancellation: the wait
    /// for a slow peer is bounded by `writeTimeout`.
    package func finish() async {
        let hasLeft =
            self.connection.isHere
            ? self.connection.finish(self.serial) : await self.connection.call { [serial] in $0.finish(serial) }
        guard !hasLeft else { return }
        // The waiter returns early only where the request has ended.
        await self.connection.wait(as: .end, self.serial)
    }

    /// Ends the request brokenly: what has not been sent is dropped, and the connection is closed without
    /// FCGI_END_REQUEST, which tells the client that the response is not whole. Idempotent; without effect after
    /// the end.
    package func abort() {
        // No closure is made where none has to wait.
        guard !self.connection.isHere else { return self.connection.abort(self.serial) }
        self.connection.tell { [serial] in $0.abort(serial) }
    }

    /// Adds to what is called when the peer goes away before the request has ended, also when it is too slow or breaks
    /// the protocol: once, on the event loop, or soon if that has happened already. It must not block.
    package func onClientGone(_ action: @escaping @Sendable () -> Void) {
        guard !self.connection.isHere else { return self.connection.onClientGone(action, self.serial) }
        self.connection.tell { [serial] in $0.onClientGone(action, serial) }
    }
}

/// Receives requests.
package protocol RequestHandler: Sendable {
    /// Called on the request's event loop: returns at once, and leaves the work to a task.
    func received(_ request: IncomingRequest)
}
