import CGI
import NIOCore

/// A request on its connection, from its head to the last byte of its body and of its answer.
///
/// `@unchecked Sendable`: part of its connection's state and touched only under that connection's lock.
final class Exchange: @unchecked Sendable {
    let library: LibraryRequest
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
    /// Something may have come in since the socket was last found empty.
    var isInputPending = true
    var pace = BodyPace()
    var reader: UnsafeContinuation<Void, Never>?

    // The response.
    var output = OutputQueue()
    /// Whether anything of the response has been sent.
    var hasSent = false
    /// Set while the peer does not take more.
    var outputDeadline: ContinuousClock.Instant?
    /// How much the socket held when the deadline was set.
    var unsentByteCount: Int32 = 0
    var isFinishing = false
    var writer: UnsafeContinuation<Void, Never>?
    var end: UnsafeContinuation<Void, Never>?

    var goneAction: (@Sendable () -> Void)?

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

    func wakeReader(_ effects: inout Effects) {
        if let reader { effects.reader = reader }
        self.reader = nil
    }

    func wakeWriter(_ effects: inout Effects) {
        if let writer { effects.writer = writer }
        self.writer = nil
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
