import CGI
import NIOCore

extension Parameters {
    /// The path after nginx's `try_files` and `rewrite`: with a front controller always the same.
    var path: String {
        if let uri = self.string("DOCUMENT_URI") ?? self.string("SCRIPT_NAME"), !uri.isEmpty { return uri }
        return self.requestedPath ?? ""
    }

    /// The path that the browser asked for, as nginx understood it.
    var requestedPath: String? { self.bytes("REQUEST_URI").flatMap { RequestedPath.path(of: $0) } }

    /// Whether one of the two is meant.
    func hasPath(matching pattern: PathPattern) -> Bool {
        pattern.matches(self.path) || self.requestedPath.map { pattern.matches($0) } ?? false
    }
}

enum RequestedPath {
    /// What nginx makes of a request's target before it looks for a location: without the query, decoded, with single
    /// slashes, without `.` and `..`.
    ///
    /// - Returns: nil where the target is no path.
    static func path(of target: ByteBufferView) -> String? {
        guard target.first == UInt8(ascii: "/") else { return nil }
        let raw = target.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        if self.isPlain(raw) { return String(decoding: raw, as: UTF8.self) }
        let decoded = self.decoded(raw)
        var segments: [ArraySlice<UInt8>] = []
        for segment in decoded.split(separator: UInt8(ascii: "/")) {
            if segment.elementsEqual("..".utf8) {
                _ = segments.popLast()
            } else if !segment.elementsEqual(".".utf8) {
                segments.append(segment)
            }
        }
        let endsWithSlash = ["/", "/.", "/.."].contains { decoded.suffix($0.utf8.count).elementsEqual($0.utf8) }
        var path: [UInt8] = []
        for segment in segments { path += [UInt8(ascii: "/")] + segment }
        if endsWithSlash || segments.isEmpty { path.append(UInt8(ascii: "/")) }
        return String(decoding: path, as: UTF8.self)
    }

    /// Nearly all paths are: nothing to decode, and no segment that is empty or begins with a dot.
    private static func isPlain(_ path: ByteBufferView) -> Bool {
        var isAfterSlash = false
        for byte in path {
            if byte == UInt8(ascii: "%") { return false }
            if isAfterSlash, byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".") { return false }
            isAfterSlash = byte == UInt8(ascii: "/")
        }
        return true
    }

    /// What is no `%XX` stays as it is: nginx has refused such a request.
    private static func decoded(_ text: ByteBufferView) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
            guard digits.count == 2 else {
                bytes.append(byte)
                continue
            }
            bytes.append(UInt8(digits[0] << 4 | digits[1]))
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
