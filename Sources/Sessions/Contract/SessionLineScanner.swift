package import NIOCore

/// Finds the lines of a late answer in a request's error stream and passes everything else on, unchanged and in order.
///
/// Two forms are known: lines that end with a line feed (a CGI's stderr), and what php-fpm makes of `error_log($line, 4)`:
/// messages that begin with `PHP message: ` and are joined by `; ` without a line feed (measured on 8.2).
///
/// Holds back at most the beginning of what may become such a line (less than 100 bytes) and, once the token was
/// recognised, the line itself, up to `maximumLineLength`. A line that begins as one and has not the request's token,
/// whatever it has instead, is left out of the text, since its data may be somebody's session.
package struct SessionLineScanner: Sendable {
    package static let maximumLineLength = 64 * 1_024

    package enum Event: Sendable, Equatable {
        /// Ordinary text for the log.
        case text(ByteBuffer)
        /// A field with the request's token, for `SessionAnswer`.
        case field(SessionField, ByteBuffer)
        /// A field without the request's token was left out.
        case foreign(SessionField)
        /// A field with the request's token is longer than `maximumLineLength` and was left out: the answer is void.
        case tooLong(SessionField)
    }

    private enum Place {
        /// Where a message can begin.
        case messageStart
        /// Behind a line that was taken out and ended with a semicolon: one blank is the separator's.
        case separator
        case text
        /// Inside a line that is taken out. `value` is `nil` where it is not kept.
        case line(SessionField, isJoined: Bool, value: ByteBuffer?)
    }

    private let token: RequestToken?
    private var place: Place = .messageStart
    /// Whether text was passed on since the last line feed.
    private var lineHasText = false
    /// The end of what came, as long as it is undecided.
    private var held = ByteBuffer()

    /// - Parameter token: nil where the request has no session: no line is an answer.
    package init(token: RequestToken?) {
        self.token = token
    }

    /// Takes a piece of the stream.
    package mutating func receive(_ piece: ByteBuffer, _ body: (Event) -> Void) {
        var input = piece
        if self.held.readableBytes > 0 {
            input = self.held
            input.writeImmutableBuffer(piece)
            self.held = ByteBuffer()
        }
        self.scan(&input, isEnd: false, body)
        if input.readableBytes > 0 { self.held = ByteBuffer(bytes: input.readableBytesView) }
    }

    /// Ends the stream: what was held back is decided.
    package mutating func finish(_ body: (Event) -> Void) {
        var input = self.held
        self.held = ByteBuffer()
        self.scan(&input, isEnd: true, body)
        if case .line(let field, _, let value?) = self.place { body(.field(field, value)) }
        self.place = .messageStart
        self.lineHasText = false
    }

    private mutating func scan(_ input: inout ByteBuffer, isEnd: Bool, _ body: (Event) -> Void) {
        while input.readableBytes > 0 {
            switch self.place {
            case .separator:
                if input.readableBytesView.first == 0x20 { input.moveReaderIndex(forwardBy: 1) }
                self.place = .messageStart
            case .line(let field, let isJoined, let value):
                self.place = .messageStart
                self.scanLine(&input, field, isJoined: isJoined, value: value, body)
            case .messageStart:
                switch LineStart.recognise(input.readableBytesView, joined: false, self.token, isEnd: isEnd) {
                case .undecided: return
                case .none: self.place = .text
                case .some(let start): self.enter(start, &input, body)
                }
            case .text:
                guard self.scanText(&input, isEnd: isEnd, body) else { return }
            }
        }
    }

    /// Passes text on up to where a message may begin.
    /// - Returns: `false` where the rest of the input is undecided.
    private mutating func scanText(_ input: inout ByteBuffer, isEnd: Bool, _ body: (Event) -> Void) -> Bool {
        let bytes = input.readableBytesView
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == UInt8(ascii: "\n") {
                index += 1
                self.emit(&input, upTo: index, body)
                self.lineHasText = false
                self.place = .messageStart
                return true
            }
            if bytes[index] == UInt8(ascii: ";") {
                switch LineStart.recognise(bytes[index...], joined: true, self.token, isEnd: isEnd) {
                case .none:
                    break
                case .undecided:
                    self.emit(&input, upTo: index, body)
                    return false
                case .some(let start):
                    self.emit(&input, upTo: index, body)
                    self.enter(start, &input, body)
                    return true
                }
            }
            index += 1
        }
        self.emit(&input, upTo: index, body)
        return true
    }

    private mutating func emit(_ input: inout ByteBuffer, upTo index: Int, _ body: (Event) -> Void) {
        guard index > input.readerIndex, let text = input.readSlice(length: index - input.readerIndex) else { return }
        self.lineHasText = true
        body(.text(text))
    }

    private mutating func enter(_ start: LineStart, _ input: inout ByteBuffer, _ body: (Event) -> Void) {
        input.moveReaderIndex(forwardBy: start.length)
        if !start.isOurs { body(.foreign(start.field)) }
        self.place = .line(start.field, isJoined: start.isJoined, value: start.isOurs ? ByteBuffer() : nil)
    }

    /// Takes a line, or as much of it as is there.
    private mutating func scanLine(
        _ input: inout ByteBuffer,
        _ field: SessionField,
        isJoined: Bool,
        value: ByteBuffer?,
        _ body: (Event) -> Void
    ) {
        var value = value
        let bytes = input.readableBytesView
        let end = bytes.firstIndex {
            $0 == UInt8(ascii: "\n") || (isJoined && $0 == UInt8(ascii: ";"))
        }
        let length = (end ?? bytes.endIndex) - bytes.startIndex
        if let earlier = value?.readableBytes {
            if earlier + length > Self.maximumLineLength {
                body(.tooLong(field))
                value = nil
            } else {
                value?.writeBytes(bytes.prefix(length))
            }
        }
        input.moveReaderIndex(forwardBy: length)
        guard let end else {
            self.place = .line(field, isJoined: isJoined, value: value)
            return
        }
        if var value {
            if value.readableBytesView.last == UInt8(ascii: "\r") {
                value.moveWriterIndex(to: value.writerIndex - 1)
            }
            body(.field(field, value))
        }
        if self.lineHasText {
            // The separator, or the line feed, belongs to the text before.
            self.place = .text
        } else {
            input.moveReaderIndex(forwardBy: 1)
            self.place = bytes[end] == UInt8(ascii: ";") ? .separator : .messageStart
        }
    }
}

/// The beginning of a line of a late answer, up to and without its token.
private struct LineStart {
    let field: SessionField
    /// Whether it is one of php-fpm's messages, which a semicolon ends too.
    let isJoined: Bool
    let isOurs: Bool
    /// Bytes before the token.
    let length: Int

    enum Recognition {
        case none
        case undecided
        case some(LineStart)
    }

    private static let message: StaticString = "PHP message: "
    /// Blanks that may stand between the name and the token.
    private static let maximumBlanks = 8

    /// - Parameters:
    ///   - joined: whether the bytes begin with php-fpm's separator.
    ///   - isEnd: whether nothing comes after these bytes.
    static func recognise(
        _ bytes: ByteBufferView,
        joined: Bool,
        _ token: RequestToken?,
        isEnd: Bool
    ) -> Recognition {
        var rest = bytes
        var isJoined = joined
        if joined {
            switch Self.skip("; PHP message: ", in: &rest) {
            case .no: return .none
            case .more: return isEnd ? .none : .undecided
            case .yes: break
            }
        } else {
            switch Self.skip(Self.message, in: &rest) {
            case .no: break
            case .more: return isEnd ? .none : .undecided
            case .yes: isJoined = true
            }
        }
        let field: SessionField
        switch (Self.skip("session-data:", in: &rest), Self.skip("session-control:", in: &rest)) {
        case (.yes, _): field = .data
        case (_, .yes): field = .control
        case (.more, _), (_, .more): return isEnd ? .none : .undecided
        case (.no, .no): return .none
        }
        let text = rest.prefix(Self.maximumBlanks + 1).drop { $0 == 0x20 || $0 == 0x09 }
        rest = rest[text.startIndex...]
        let word = rest.prefix(RequestToken.textLength)
        let isWhole = word.allSatisfy { !Self.endsWord($0, isJoined: isJoined) }
        let next = rest.dropFirst(RequestToken.textLength).first
        // More may follow: a longer word, or the rest of the token.
        if isWhole, next == nil, !isEnd { return .undecided }
        let isEnded = next.map { Self.endsWord($0, isJoined: isJoined) } ?? true
        return .some(
            LineStart(
                field: field,
                isJoined: isJoined,
                isOurs: isWhole && isEnded && token?.matches(word) ?? false,
                length: rest.startIndex - bytes.startIndex
            )
        )
    }

    private static func endsWord(_ byte: UInt8, isJoined: Bool) -> Bool {
        [0x20, 0x09, 0x0a, 0x0d].contains(byte) || isJoined && byte == UInt8(ascii: ";")
    }

    private enum Match {
        case no
        /// The bytes end before the text does.
        case more
        case yes
    }

    /// Skips a text in any case of letters.
    private static func skip(_ text: StaticString, in bytes: inout ByteBufferView) -> Match {
        let length = text.utf8CodeUnitCount
        let isEqual = text.withUTF8Buffer { text in
            zip(bytes, text).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
        }
        guard isEqual else { return .no }
        guard bytes.count >= length else { return .more }
        bytes = bytes.dropFirst(length)
        return .yes
    }
}
