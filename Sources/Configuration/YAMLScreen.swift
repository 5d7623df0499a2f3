/// Refuses, before the YAML library sees a text, what configuration files have no use for and what could make reading
/// one expensive: anchors and aliases (a few lines of them can stand for billions of nodes), tags, block scalars, deep
/// nesting, control characters.
///
/// It follows YAML's tokens only as far as is needed to know where one starts. Where it cannot be sure it refuses, so
/// that it never takes an alias for text.
struct YAMLScreen {
    /// Brackets within brackets.
    static let maximumDepth = 16

    private enum State {
        /// Only white space or indicators since the last token.
        case tokenStart
        case plain
        case singleQuoted
        case doubleQuoted
        case comment
        /// Behind a quoted text or a closing bracket.
        case tokenEnd
    }

    private let bytes: [UInt8]
    private var index = 0
    private var state = State.tokenStart
    private var depth = 0
    private var line = 1
    private var lineStart = 0
    /// Of the line that ended within a plain scalar, if the last one did: its indentation.
    private var openPlainIndentation: Int?
    private var indentation = 0
    private var isAtLineStart = true

    private init(_ text: String) {
        self.bytes = Array(text.utf8)
    }

    /// - Returns: the first thing that is refused.
    static func problem(in text: String) -> (origin: ConfigurationOrigin, message: String)? {
        var screen = YAMLScreen(text)
        while screen.index < screen.bytes.count {
            if let message = screen.step() {
                return (screen.origin, message)
            }
        }
        return nil
    }

    private var origin: ConfigurationOrigin {
        let before = self.bytes[self.lineStart..<min(self.index, self.bytes.count)]
        return .position(line: self.line, column: before.count(where: { $0 & 0xc0 != 0x80 }) + 1)
    }

    private func byte(at index: Int) -> UInt8? {
        index < self.bytes.count ? self.bytes[index] : nil
    }

    private func isBlank(at index: Int) -> Bool {
        switch self.byte(at: index) {
        case nil, UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): true
        default: false
        }
    }

    /// Looks at one byte.
    private mutating func step() -> String? {
        let byte = self.bytes[self.index]
        if let message = self.refusedCharacter(byte) {
            return message
        }
        if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
            self.endLine(byte)
            return nil
        }
        if self.isAtLineStart {
            if byte == UInt8(ascii: " ") {
                self.indentation += 1
                self.index += 1
                return nil
            }
            self.isAtLineStart = false
            if let message = self.firstByteOfLine(byte) {
                return message
            }
        }
        return self.dispatch(byte)
    }

    private func refusedCharacter(_ byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
            return nil
        case 0..<0x20, 0x7f:
            return "control characters have no place in a configuration"
        case 0xc2 where self.byte(at: self.index + 1) == 0x85,
            0xe2
        where self.byte(at: self.index + 1) == 0x80
            && (self.byte(at: self.index + 2) == 0xa8 || self.byte(at: self.index + 2) == 0xa9):
            return "Unicode line separators have no place in a configuration"
        case 0xef where self.byte(at: self.index + 1) == 0xbb && self.byte(at: self.index + 2) == 0xbf:
            return "a byte order mark has no place in a configuration"
        default:
            return nil
        }
    }

    private mutating func endLine(_ byte: UInt8) {
        self.index += 1
        if byte == UInt8(ascii: "\r"), self.byte(at: self.index) == UInt8(ascii: "\n") {
            self.index += 1
        }
        self.line += 1
        self.lineStart = self.index
        switch self.state {
        case .singleQuoted, .doubleQuoted:
            return
        case .plain:
            self.openPlainIndentation = self.indentation
        case .tokenStart where self.isAtLineStart, .comment:
            // A blank line does not end a plain scalar.
            break
        case .tokenStart, .tokenEnd:
            self.openPlainIndentation = nil
        }
        self.state = .tokenStart
        self.indentation = 0
        self.isAtLineStart = true
    }

    private mutating func firstByteOfLine(_ byte: UInt8) -> String? {
        if self.state == .tokenStart, byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'"),
            let open = self.openPlainIndentation, self.depth > 0 || self.indentation > open
        {
            return "a quote cannot start here: a text over several lines must be quoted whole"
        }
        if byte != UInt8(ascii: "#") {
            self.openPlainIndentation = nil
        }
        return nil
    }

    private mutating func dispatch(_ byte: UInt8) -> String? {
        switch self.state {
        case .comment:
            self.index += 1
        case .singleQuoted:
            self.index += 1
            if byte == UInt8(ascii: "'") {
                if self.byte(at: self.index) == UInt8(ascii: "'") {
                    self.index += 1
                } else {
                    self.state = .tokenEnd
                }
            }
        case .doubleQuoted:
            if byte == UInt8(ascii: "\\"), !self.isBlank(at: self.index + 1) {
                self.index += 1
                if let escaped = self.byte(at: self.index), let message = self.refusedCharacter(escaped) {
                    return message
                }
            } else if byte == UInt8(ascii: "\"") {
                self.state = .tokenEnd
            }
            self.index += 1
        case .tokenStart:
            return self.tokenStarts(byte)
        case .plain, .tokenEnd:
            return self.tokenContinues(byte)
        }
        return nil
    }

    private mutating func tokenStarts(_ byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"):
            break
        case UInt8(ascii: "-") where self.isDocumentMarker:
            self.index += 2
        case UInt8(ascii: "-") where self.isBlank(at: self.index + 1),
            UInt8(ascii: "?") where self.isBlank(at: self.index + 1):
            break
        case UInt8(ascii: ":"), UInt8(ascii: ","):
            break
        case UInt8(ascii: "#") where self.index == self.lineStart || self.isBlank(at: self.index - 1):
            self.state = .comment
        case UInt8(ascii: "&"):
            return "anchors (&) are not supported"
        case UInt8(ascii: "*"):
            return "a text that starts with * must be quoted, as in \"*.example.com\" (aliases are not supported)"
        case UInt8(ascii: "!"):
            return "tags (!) are not supported; quote the text if it is one"
        case UInt8(ascii: "|"), UInt8(ascii: ">"):
            return "block texts (| and >) are not supported; write the text in quotes on one line"
        case UInt8(ascii: "'"):
            self.state = .singleQuoted
        case UInt8(ascii: "\""):
            self.state = .doubleQuoted
        case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "]"), UInt8(ascii: "}"):
            return self.bracket(byte)
        default:
            self.state = .plain
        }
        self.index += 1
        return nil
    }

    private var isDocumentMarker: Bool {
        self.index == self.lineStart && self.byte(at: self.index + 1) == UInt8(ascii: "-")
            && self.byte(at: self.index + 2) == UInt8(ascii: "-") && self.isBlank(at: self.index + 3)
    }

    private mutating func tokenContinues(_ byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: ":") where self.state == .tokenEnd || self.isBlank(at: self.index + 1) || self.depth > 0:
            self.state = .tokenStart
        case UInt8(ascii: ",") where self.depth > 0:
            self.state = .tokenStart
        case UInt8(ascii: "#") where self.isBlank(at: self.index - 1):
            self.state = .comment
        case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "]"), UInt8(ascii: "}"):
            if self.depth > 0 {
                return self.bracket(byte)
            }
        default:
            break
        }
        self.index += 1
        return nil
    }

    private mutating func bracket(_ byte: UInt8) -> String? {
        self.index += 1
        if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
            self.depth += 1
            self.state = .tokenStart
            return self.depth > Self.maximumDepth ? "nested too deeply" : nil
        }
        self.depth = max(0, self.depth - 1)
        self.state = .tokenEnd
        return nil
    }
}
