/// Follows the FCGI_STDIN records of a request, so that libfcgi is given only what it can read without waiting and
/// without meeting anything but this request's body (L3–L6, L8, L20).
struct BodyGuard {
    /// What may be done with a piece of the stream.
    struct Passage: Equatable {
        /// Bytes that belong to this request; the rest is the next request's.
        var consumed = 0
        /// Bytes of the body among them.
        var content = 0
        /// How many of the consumed bytes libfcgi needs for that content, or for the end of the stream. What is
        /// between this and `consumed` is kept until there is content behind it.
        var needed = 0
    }

    enum Verdict: Equatable {
        case pass(Passage)
        case refuse(RefusalReason)
    }

    private let requestID: UInt16
    /// nil: any length.
    private let expectedByteCount: Int?
    private var cursor = RecordCursor()

    private(set) var byteCount = 0
    /// Whether the stream's empty record has been seen: the body is whole.
    private(set) var isComplete = false

    init(requestID: UInt16, expectedByteCount: Int?) {
        self.requestID = requestID
        self.expectedByteCount = expectedByteCount
    }

    mutating func examine(_ bytes: UnsafeRawBufferPointer) -> Verdict {
        var passage = Passage()
        while !self.isComplete {
            switch self.cursor.next(in: bytes, at: &passage.consumed) {
            case .wait:
                return .pass(passage)
            case .content(let range):
                passage.content += range.count
                passage.needed = passage.consumed
                self.byteCount += range.count
                if let expected = self.expectedByteCount, self.byteCount > expected {
                    return .refuse(.wrongContentLength)
                }
            case .header(let header):
                if let reason = self.headerRead(header) { return .refuse(reason) }
                if self.isComplete { passage.needed = passage.consumed }
            }
        }
        return .pass(passage)
    }

    private mutating func headerRead(_ header: RecordHeader) -> RefusalReason? {
        guard header.version == 1 else { return .unsupportedVersion }
        guard header.requestID != 0 else { return .managementRecord }
        guard header.requestID == self.requestID else { return .foreignRequest }
        guard header.type != RecordHeader.abortRequest else { return .aborted }
        guard header.type == RecordHeader.standardInput else { return .unexpectedRecord }
        guard header.contentLength == 0 else { return nil }
        guard header.paddingLength == 0 else { return .unexpectedPadding }
        if let expected = self.expectedByteCount, self.byteCount != expected { return .wrongContentLength }
        self.isComplete = true
        return nil
    }
}
