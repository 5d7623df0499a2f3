import Glibc
package import NIOCore

/// A field of a backend's answer about the session.
package enum SessionField: Sendable, Equatable {
    /// `Session-Data: <token> [<part>/<parts>] <base64>`
    case data
    /// `Session-Control: <token> <word>, …`
    case control

    /// - Parameter name: in any case of letters.
    package init?(name: String) {
        // Most fields of a head are told apart by their first letter.
        guard let first = name.utf8.first, first | 0x20 == UInt8(ascii: "s") else { return nil }
        var name = name
        guard let field = name.withUTF8({ Self(name: $0) }) else { return nil }
        self = field
    }

    /// - Parameter name: in any case of letters.
    package init?(name: some Collection<UInt8>) {
        switch name.count {
        case Self.dataName.utf8CodeUnitCount where Self.equal(name, Self.dataName): self = .data
        case Self.controlName.utf8CodeUnitCount where Self.equal(name, Self.controlName): self = .control
        default: return nil
        }
    }

    static let dataName: StaticString = "session-data"
    static let controlName: StaticString = "session-control"

    private static func equal(_ name: some Collection<UInt8>, _ lowercase: StaticString) -> Bool {
        var index = 0
        for byte in name {
            guard byte.lowercasedASCII == lowercase.utf8Start[index] else { return false }
            index += 1
        }
        return true
    }
}

/// What a backend wants of the session besides its data.
package struct SessionControls: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The session moves to `SESSION_NEXT_ID`.
    package static let regenerate = SessionControls(rawValue: 1)
    package static let destroy = SessionControls(rawValue: 2)
    /// The database has the session before the response goes out.
    package static let durable = SessionControls(rawValue: 4)
    /// Nothing is written, whatever the data say.
    package static let readonly = SessionControls(rawValue: 8)
}

/// What a backend's fields about the session amount to.
package struct SessionChange: Sendable, Equatable {
    /// The new blob; `nil` is unchanged, empty is cleared.
    package var data: ByteBuffer?
    package var controls: SessionControls

    package init(data: ByteBuffer? = nil, controls: SessionControls = []) {
        self.data = data
        self.controls = controls
    }
}

/// Gathers the fields of one answer about the session, whichever way they came. One value for each stage of a request:
/// the response's head is one answer, each connection to the late socket is one, the error stream is one.
///
/// Bounded: base64 of `maximumSize` bytes, at most 4,096 parts. Parts are kept as slices of what came and decoded once, at
/// the end; a slice much smaller than the memory it would hold on to is copied.
package struct SessionAnswer: Sendable {
    package static let maximumParts = 4_096

    package enum Reception: Sendable, Equatable {
        case accepted
        /// Without this request's token: somebody else's words. To be dropped and logged.
        case foreign
    }

    private let token: RequestToken
    private let maximumSize: Int
    private var controls: SessionControls = []
    private var blob: Blob = .none
    private var encodedLength = 0

    private enum Blob {
        case none
        case whole(ByteBuffer)
        case parts([ByteBuffer?], missing: Int)
    }

    /// Whether a field with the right token was seen, right or wrong otherwise.
    package private(set) var isAnnounced = false
    /// Whether there was a `Session-Control` without a word: more may follow after the response, whatever is here already.
    package private(set) var isOpenEnded = false

    /// - Parameter maximumSize: bytes that a blob may have.
    package init(token: RequestToken, maximumSize: Int) {
        self.token = token
        self.maximumSize = maximumSize
    }

    /// Takes a field.
    /// - Throws: `SessionContractError` where the token is right and the rest is not. The answer is void then: the session
    ///   stays as it was.
    package mutating func receive(
        _ field: SessionField,
        _ value: ByteBuffer
    ) throws(SessionContractError) -> Reception {
        var words = FieldWords(value)
        guard let token = words.next(), self.token.matches(token.readableBytesView) else { return .foreign }
        self.isAnnounced = true
        switch field {
        case .data: try self.receiveData(&words)
        case .control: try self.receiveControls(words.rest)
        }
        return .accepted
    }

    private mutating func receiveData(_ words: inout FieldWords) throws(SessionContractError) {
        let first = words.next()
        let second = words.next()
        if words.next() != nil {
            throw SessionContractError(.malformed, "Session-Data has more than a token, a part and base64")
        }
        switch (first, second) {
        case (nil, _):
            try self.receiveWhole(ByteBuffer())
        case (let encoded?, nil):
            // Three characters are never base64: the only part of an empty blob, whose blank was trimmed away.
            if encoded.readableBytesView.elementsEqual("1/1".utf8) {
                try self.receivePart(ByteBuffer(), 1, of: 1)
            } else {
                try self.receiveWhole(encoded)
            }
        case (let numbers?, let encoded?):
            guard let (part, parts) = Self.partNumbers(numbers.readableBytesView) else {
                throw SessionContractError(.malformed, "the part of Session-Data is not <part>/<parts>")
            }
            try self.receivePart(encoded, part, of: parts)
        }
    }

    private mutating func receiveWhole(_ encoded: ByteBuffer) throws(SessionContractError) {
        guard case .none = self.blob else {
            throw SessionContractError(.contradictory, "Session-Data came twice")
        }
        try self.count(encoded)
        self.blob = .whole(encoded)
    }

    private mutating func receivePart(_ encoded: ByteBuffer, _ part: Int, of parts: Int) throws(SessionContractError) {
        try self.count(encoded)
        var slots: [ByteBuffer?]
        var missing: Int
        switch self.blob {
        case .none:
            slots = Array(repeating: nil, count: parts)
            missing = parts
        case .whole:
            throw SessionContractError(.contradictory, "Session-Data came whole and in parts")
        case .parts(let earlier, let stillMissing):
            slots = earlier
            missing = stillMissing
            // The array is changed in place below: nobody else may hold it.
            self.blob = .none
        }
        guard slots.count == parts else {
            throw SessionContractError(.contradictory, "parts of Session-Data disagree on their number")
        }
        guard slots[part - 1] == nil else {
            throw SessionContractError(.contradictory, "part \(part) of Session-Data came twice")
        }
        slots[part - 1] = Self.compact(encoded)
        missing -= 1
        self.blob = .parts(slots, missing: missing)
    }

    private mutating func count(_ encoded: ByteBuffer) throws(SessionContractError) {
        self.encodedLength += encoded.readableBytes
        if self.encodedLength > Base64.encodedLength(self.maximumSize) { throw self.tooLarge }
    }

    private var tooLarge: SessionContractError {
        SessionContractError(.tooLarge, "the session data is larger than max_size, \(self.maximumSize) bytes")
    }

    /// Without hold on memory that is mostly something else.
    private static func compact(_ slice: ByteBuffer) -> ByteBuffer {
        guard slice.storageCapacity > 4 * slice.readableBytes + 4_096 else { return slice }
        var copy = ByteBuffer()
        copy.writeImmutableBuffer(slice)
        return copy
    }

    private static func partNumbers(_ bytes: ByteBufferView) -> (Int, Int)? {
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/")),
            let part = Self.number(bytes[..<slash]), let parts = Self.number(bytes[(slash + 1)...]),
            part >= 1, part <= parts, parts <= Self.maximumParts
        else { return nil }
        return (part, parts)
    }

    private static func number(_ digits: some Collection<UInt8>) -> Int? {
        guard (1...4).contains(digits.count) else { return nil }
        var number = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }

    private mutating func receiveControls(_ list: ByteBuffer) throws(SessionContractError) {
        if list.readableBytesView.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { self.isOpenEnded = true }
        for item in list.readableBytesView.split(separator: UInt8(ascii: ",")) {
            let word = String(decoding: item.filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self).lowercased()
            switch word {
            case "": break
            case "regenerate": self.controls.insert(.regenerate)
            case "destroy": self.controls.insert(.destroy)
            case "durable": self.controls.insert(.durable)
            case "readonly": self.controls.insert(.readonly)
            default:
                throw SessionContractError(
                    .unknownControl,
                    "Session-Control knows regenerate, destroy, durable and readonly, nothing else"
                )
            }
        }
    }

    /// What the fields amount to, once all have come.
    package consuming func finish() throws(SessionContractError) -> SessionChange {
        switch self.blob {
        case .none:
            return SessionChange(data: nil, controls: self.controls)
        case .whole(let encoded):
            return SessionChange(data: try self.decode(CollectionOfOne(encoded)), controls: self.controls)
        case .parts(let parts, let missing):
            guard missing == 0 else {
                throw SessionContractError(
                    .incomplete,
                    "\(missing) of \(parts.count) parts of Session-Data are missing"
                )
            }
            return SessionChange(data: try self.decode(parts.lazy.compactMap { $0 }), controls: self.controls)
        }
    }

    private func decode(_ pieces: some Sequence<ByteBuffer>) throws(SessionContractError) -> ByteBuffer {
        var data = ByteBuffer()
        data.reserveCapacity(self.encodedLength / 4 * 3 + 4)
        var decoder = Base64.Decoder()
        do throws(Base64.Failure) {
            for piece in pieces { try decoder.decode(piece, into: &data) }
            try decoder.finish()
        } catch {
            throw SessionContractError(.invalidBase64, "Session-Data is no base64 (RFC 4648, section 4): \(error)")
        }
        if data.readableBytes > self.maximumSize { throw self.tooLarge }
        return data
    }
}

/// Words between blanks, as slices.
private struct FieldWords {
    private(set) var rest: ByteBuffer

    init(_ value: ByteBuffer) {
        self.rest = value
    }

    mutating func next() -> ByteBuffer? {
        let bounds = self.rest.withUnsafeReadableBytes { bytes -> Range<Int>? in
            guard let start = bytes.firstIndex(where: { $0 != 0x20 && $0 != 0x09 }) else { return nil }
            return start..<(Self.firstBlank(bytes, from: start) ?? bytes.count)
        }
        guard let bounds else { return nil }
        let begin = self.rest.readerIndex
        let word = self.rest.getSlice(at: begin + bounds.lowerBound, length: bounds.count)
        self.rest.moveReaderIndex(to: begin + bounds.upperBound)
        return word
    }

    /// A word may be the whole base64 of a session.
    private static func firstBlank(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        func first(_ byte: CInt, before end: Int) -> Int? {
            memchr(base + start, byte, end - start).map { UnsafeRawPointer($0) - base }
        }
        let space = first(0x20, before: bytes.count)
        return first(0x09, before: space ?? bytes.count) ?? space
    }
}
