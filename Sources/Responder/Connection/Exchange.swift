import CGI
import NIOCore

/// A request on its connection, from its head to the last byte of its body and of its answer.
///
/// `@unchecked Sendable`: part of its connection's state and touched only on that connection's event loop.
final class Exchange: @unchecked Sendable {
    /// Until the body is complete.
    private var library: LibraryRequest?
    let requestID: UInt16
    let keepsConnection: Bool
    /// What CONTENT_LENGTH says; nil where it is absent or empty.
    let contentLength: Int?

    /// Until the handler gets them.
    var parameters: Parameters?

    // The body.
    var bodyGuard: BodyGuard
    /// Bytes that the guard has passed and that libfcgi does not need before the next content comes: at most the
    /// padding behind the last content and one header.
    var held = ByteBuffer()
    /// Read before anybody asked for it.
    var collected = ByteBuffer()
    /// libfcgi has read all of it and has seen a clean end.
    var isBodyComplete = false
    var pace = BodyPace()
    var reader: UnsafeContinuation<Void, Never>?

    // The response.
    var output = OutputQueue()
    /// Whether the queue has the end of the request already.
    var isEndFramed = false
    /// Set while the peer does not take more.
    var outputDeadline: ContinuousClock.Instant?
    /// How much the socket held when the deadline was set.
    var unsentByteCount: Int32 = 0
    var isFinishing = false
    var writer: UnsafeContinuation<Void, Never>?
    var end: UnsafeContinuation<Void, Never>?

    var goneAction: (@Sendable () -> Void)?
    /// Tasks that were cancelled before they waited.
    private var cancelled: (reader: Bool, writer: Bool) = (false, false)

    init(
        library: LibraryRequest,
        head: HeadGuard,
        parameters: Parameters,
        bodyGuard: BodyGuard
    ) {
        self.library = library
        self.requestID = head.requestID
        self.keepsConnection = head.keepsConnection
        self.contentLength = head.contentLength
        self.parameters = parameters
        self.bodyGuard = bodyGuard
    }

    deinit {
        self.library?.discard()
    }

    /// Has libfcgi read what it was given, and keeps what it does not need yet.
    /// - Parameter bytes: what the guard has let through.
    func read(_ passage: BodyGuard.Passage, of bytes: UnsafeRawBufferPointer) -> Bool {
        guard let library else { return false }
        if passage.content > 0 {
            guard library.readBody(passage.content, into: &self.collected) else { return false }
        }
        if self.bodyGuard.isComplete {
            guard library.endBody() else { return false }
            self.isBodyComplete = true
            library.discard()
            self.library = nil
        } else if passage.needed < passage.consumed {
            self.held.writeBytes(bytes[passage.needed..<passage.consumed])
        }
        return true
    }

    func wakeReader(_ effects: inout Effects) {
        if let reader { effects.reader = reader }
        self.reader = nil
    }

    func wakeWriter(_ effects: inout Effects) {
        if let writer { effects.writer = writer }
        self.writer = nil
    }

    /// The waiter's task was cancelled: it waits no more, or will not when it comes.
    func giveUpWaiting(as waiter: Connection.Waiter, _ effects: inout Effects) {
        switch waiter {
        case .reader:
            self.cancelled.reader = self.reader == nil
            self.wakeReader(&effects)
        case .writer:
            self.cancelled.writer = self.writer == nil
            self.wakeWriter(&effects)
        case .end:
            break
        }
    }

    func takeCancellation(of waiter: Connection.Waiter) -> Bool {
        switch waiter {
        case .reader:
            defer { self.cancelled.reader = false }
            return self.cancelled.reader
        case .writer:
            defer { self.cancelled.writer = false }
            return self.cancelled.writer
        case .end:
            return false
        }
    }

    func wakeAll(_ effects: inout Effects) {
        self.wakeReader(&effects)
        self.wakeWriter(&effects)
        if let end { effects.ended = end }
        self.end = nil
    }

    /// Gives back what an answered request does not need.
    func releaseContent() {
        self.collected = ByteBuffer()
        self.output = OutputQueue()
    }
}
