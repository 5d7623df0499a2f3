/// Decides about the head of a request (FCGI_BEGIN_REQUEST and all FCGI_PARAMS) before libfcgi sees a byte of it.
///
/// Takes the bytes in pieces of any size and looks at each once. What it lets through is what nginx and its like
/// send: one request of the responder's role, no management record, no record of another request, complete and
/// bounded parameters (`ParameterGuard`), and no padding where libfcgi forgets to skip it (L2–L7, L25, L29).
struct HeadGuard {
    /// Counted with the records' headers and padding.
    static let maximumByteCount = 128 * 1024

    enum Verdict: Equatable {
        /// The head goes on behind these bytes.
        case wait
        case refuse(RefusalReason)
        /// The head ends within these bytes, after so many of them.
        case complete(Int)
    }

    private enum Stage {
        case start
        case begin
        case parameters
    }

    private var stage = Stage.start
    private var cursor = RecordCursor()
    private var pairs = ParameterGuard()
    private var beginByteCount = 0
    private var role: UInt16 = 0
    private(set) var examinedByteCount = 0

    /// 0 until the first record's header is there.
    private(set) var requestID: UInt16 = 0
    private(set) var keepsConnection = false
    /// What CONTENT_LENGTH says; nil where it is absent or empty.
    var contentLength: Int? { self.pairs.contentLength }
    /// Whether a byte of a request has come in.
    var hasBegun: Bool { self.examinedByteCount > 0 }

    mutating func examine(_ bytes: UnsafeRawBufferPointer) -> Verdict {
        var position = 0
        while true {
            let before = position
            let step = self.cursor.next(in: bytes, at: &position)
            self.examinedByteCount += position - before
            guard self.examinedByteCount <= Self.maximumByteCount else { return .refuse(.longHead) }
            switch step {
            case .wait:
                return .wait
            case .header(let header):
                switch self.headerRead(header) {
                case .wait: continue
                case .refuse(let reason): return .refuse(reason)
                case .complete: return .complete(position)
                }
            case .content(let range):
                let piece = UnsafeRawBufferPointer(rebasing: bytes[range])
                if let reason = self.stage == .begin ? self.beginRead(piece) : self.pairs.examine(piece) {
                    return .refuse(reason)
                }
            }
        }
    }

    private mutating func headerRead(_ header: RecordHeader) -> Verdict {
        guard header.version == 1 else { return .refuse(.unsupportedVersion) }
        guard header.requestID != 0 else { return .refuse(.managementRecord) }
        switch self.stage {
        case .start:
            guard header.type == RecordHeader.beginRequest, header.contentLength == 8 else {
                return .refuse(.unexpectedRecord)
            }
            guard header.paddingLength == 0 else { return .refuse(.unexpectedPadding) }
            self.requestID = header.requestID
            self.stage = .begin
            return .wait
        case .begin, .parameters:
            guard header.requestID == self.requestID else { return .refuse(.foreignRequest) }
            guard header.type != RecordHeader.abortRequest else { return .refuse(.aborted) }
            guard header.type == RecordHeader.parameters else { return .refuse(.unexpectedRecord) }
            self.stage = .parameters
            guard header.contentLength == 0 else { return .wait }
            guard header.paddingLength == 0 else { return .refuse(.unexpectedPadding) }
            guard self.pairs.isBetweenPairs else { return .refuse(.malformedParameters) }
            return .complete(0)
        }
    }

    /// FCGI_BeginRequestBody: two bytes of role, one of flags, five that are reserved.
    private mutating func beginRead(_ piece: UnsafeRawBufferPointer) -> RefusalReason? {
        for byte in piece {
            switch self.beginByteCount {
            case 0, 1: self.role = self.role << 8 | UInt16(byte)
            case 2: self.keepsConnection = byte & 1 != 0
            default: break
            }
            self.beginByteCount += 1
        }
        return self.beginByteCount < 8 || self.role == 1 ? nil : .unsupportedRole
    }
}
