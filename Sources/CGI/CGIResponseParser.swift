import Glibc
package import NIOCore

/// Reads the head of a script's answer (RFC 3875 §6) out of pieces of any length.
///
/// Lines may end in CRLF or LF. A name is a token, a value has no control character but tab, a line that begins with
/// white space is refused (RFC 9112 §5.2). `Transfer-Encoding` and `Connection` are dropped: they belong to one
/// connection, and it is not the client's. Two equal `Content-Length` become one, different ones are refused.
///
/// Holds at most the two limits of `CGIResponseLimits` plus one piece. After an error it must not be used again.
package struct CGIResponseParser: Sendable {
    /// With those that are added on the way.
    private static let usualFieldCount = 12

    private let limits: CGIResponseLimits
    /// What has come and is not parsed yet: the beginning of a line.
    private var pending = ByteBuffer()
    /// The first bytes of `pending` that are known to hold no line end.
    private var searched = 0
    private var headLength = 0
    private var separateLength = 0
    private var statusLine: (status: Int, reason: String)?
    private var contentLength: Int?
    private var fields: [CGIResponseHead.Field] = []
    private var hasEnded = false

    package init(limits: CGIResponseLimits = CGIResponseLimits()) {
        self.limits = limits
    }

    /// Takes the next piece.
    ///
    /// - Returns: once, the head and what follows it in this piece, which is body; `nil` while the head is incomplete.
    package mutating func receive(
        _ piece: ByteBuffer
    ) throws(CGIResponseError) -> (head: CGIResponseHead, body: ByteBuffer)? {
        precondition(!self.hasEnded, "what follows the head is body")
        if self.pending.readableBytes == 0 {
            self.pending = piece
        } else {
            self.pending.writeImmutableBuffer(piece)
        }
        while let lineEnd = self.nextLineEnd() {
            let start = self.pending.readerIndex
            var length = lineEnd - start
            let lengthWithLineEnd = length + 1
            self.searched = 0
            if length > 0, self.pending.getInteger(at: start + length - 1, as: UInt8.self) == ASCIIByte.carriageReturn {
                length -= 1
            }
            guard length > 0 else {
                self.hasEnded = true
                self.pending.moveReaderIndex(forwardBy: lengthWithLineEnd)
                let body = self.pending.slice()
                self.pending = ByteBuffer()
                return (self.makeHead(), body)
            }
            try self.parseLine(start: start, length: length, lengthWithLineEnd: lengthWithLineEnd)
            self.pending.moveReaderIndex(forwardBy: lengthWithLineEnd)
        }
        try self.checkUnfinishedLine()
        return nil
    }

    /// The answer has ended: an error unless the head was complete.
    package func end() throws(CGIResponseError) {
        guard self.hasEnded else { throw .endedInsideHead }
    }

    private mutating func nextLineEnd() -> Int? {
        let searched = self.searched
        let found = self.pending.withUnsafeReadableBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, searched < bytes.count else { return nil }
            return memchr(base + searched, CInt(ASCIIByte.lineFeed), bytes.count - searched).map {
                UnsafeRawPointer($0) - base
            }
        }
        guard let found else {
            self.searched = self.pending.readableBytes
            return nil
        }
        return self.pending.readerIndex + found
    }

    /// A line that does not end must not grow without bound either.
    private func checkUnfinishedLine() throws(CGIResponseError) {
        let length = self.pending.readableBytes
        guard length > self.limits.maximumHeadLength - self.headLength else { return }
        let view = self.pending.readableBytesView
        if let colon = view.prefix(256).firstIndex(of: ASCIIByte.colon),
            view[..<colon].withUnsafeBytes(self.isSeparate)
        {
            guard self.separateLength + length <= self.limits.maximumSeparateLength else {
                throw .separateFieldsTooLong
            }
        } else {
            throw .headTooLong
        }
    }

    private func isSeparate(_ name: UnsafeRawBufferPointer) -> Bool {
        // Most are told apart by length and first letter.
        for field in self.limits.separateFields where field.count == name.count && !field.isEmpty {
            if field[0] == ASCII.lowercase(name[0]), field.elementsEqual(name.lazy.map(ASCII.lowercase)) { return true }
        }
        return false
    }

    private mutating func parseLine(
        start: Int,
        length: Int,
        lengthWithLineEnd: Int
    ) throws(CGIResponseError) {
        let line = self.pending.viewBytes(at: start, length: length) ?? ByteBufferView()
        let parts: LineParts
        switch line.withUnsafeBytes(LineParts.parse) {
        case .success(let found): parts = found
        case .failure(let error): throw error
        }
        let name = line[line.startIndex..<line.startIndex + parts.nameLength]
        try self.count(name: name, length: lengthWithLineEnd)
        guard parts.hasValidValue else { throw .invalidFieldValue }
        let value = line[line.startIndex + parts.value.lowerBound..<line.startIndex + parts.value.upperBound]
        try self.take(name: name, value: value)
    }

    private mutating func count(name: ByteBufferView, length: Int) throws(CGIResponseError) {
        if name.withUnsafeBytes(self.isSeparate) {
            self.separateLength += length
            guard self.separateLength <= self.limits.maximumSeparateLength else { throw .separateFieldsTooLong }
        } else {
            self.headLength += length
            guard self.headLength <= self.limits.maximumHeadLength else { throw .headTooLong }
        }
    }

    private mutating func take(name: ByteBufferView, value: ByteBufferView) throws(CGIResponseError) {
        switch name.count {
        case 6 where ASCII.equalIgnoringCase(name, "status".utf8):
            let status = try Self.parseStatus(value)
            guard self.statusLine == nil || self.statusLine?.status == status.status else { throw .differentStatuses }
            self.statusLine = self.statusLine ?? status
            return
        case 10 where ASCII.equalIgnoringCase(name, "connection".utf8),
            17 where ASCII.equalIgnoringCase(name, "transfer-encoding".utf8):
            return
        case 14 where ASCII.equalIgnoringCase(name, "content-length".utf8):
            guard let length = ASCII.decimal(value) else { throw .invalidContentLength }
            guard self.contentLength == nil || self.contentLength == length else { throw .differentContentLengths }
            if self.contentLength != nil { return }
            self.contentLength = length
        default:
            break
        }
        guard self.fields.count < self.limits.maximumFieldCount else { throw .tooManyFields }
        if self.fields.isEmpty { self.fields.reserveCapacity(Self.usualFieldCount) }
        self.fields.append(
            CGIResponseHead.Field(name: String(decoding: name, as: UTF8.self), value: ByteBuffer(value))
        )
    }

    /// RFC 3875 §6.3.3: three digits and, behind a space, any text. Only final codes: an interim one would let the
    /// body become the client's next response.
    private static func parseStatus(
        _ value: ByteBufferView
    ) throws(CGIResponseError) -> (status: Int, reason: String) {
        let digits = value.prefix(3)
        let rest = value.dropFirst(3)
        guard digits.count == 3, let status = ASCII.decimal(digits), (200...599).contains(status),
            rest.isEmpty || rest.first == ASCIIByte.space
        else { throw .invalidStatus }
        return (status, String(decoding: rest.drop { $0 == ASCIIByte.space }, as: UTF8.self))
    }

    private mutating func makeHead() -> CGIResponseHead {
        var head = CGIResponseHead(status: 200, reason: "")
        // The head alone holds them: they are changed on the way.
        swap(&head.fields, &self.fields)
        if let (status, reason) = self.statusLine {
            head.status = status
            head.reason = reason
        } else if head.contains("location") {
            head.status = 302
        }
        return head
    }
}

/// Where the parts of a header line lie, as offsets in it.
private struct LineParts {
    var nameLength: Int
    /// Without white space around it.
    var value: Range<Int>
    var hasValidValue: Bool

    static func parse(_ line: UnsafeRawBufferPointer) -> Result<LineParts, CGIResponseError> {
        guard let base = line.baseAddress, let first = line.first else { return .failure(.lineWithoutColon) }
        guard first != ASCIIByte.space, first != ASCIIByte.tab else { return .failure(.foldedLine) }
        guard let colon = memchr(base, CInt(ASCIIByte.colon), line.count).map({ UnsafeRawPointer($0) - base }) else {
            return .failure(.lineWithoutColon)
        }
        guard colon > 0, line[..<colon].allSatisfy(ASCII.isTokenCharacter) else { return .failure(.invalidFieldName) }
        var start = colon + 1
        var end = line.count
        while start < end, Self.isWhiteSpace(line[start]) { start += 1 }
        while start < end, Self.isWhiteSpace(line[end - 1]) { end -= 1 }
        let isValid = ASCII.isFieldValue(UnsafeRawBufferPointer(rebasing: line[start..<end]))
        return .success(LineParts(nameLength: colon, value: start..<end, hasValidValue: isValid))
    }

    private static func isWhiteSpace(_ byte: UInt8) -> Bool {
        byte == ASCIIByte.space || byte == ASCIIByte.tab
    }
}

private enum ASCIIByte {
    static let tab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0A
    static let carriageReturn: UInt8 = 0x0D
    static let space: UInt8 = 0x20
    static let colon: UInt8 = 0x3A
}
