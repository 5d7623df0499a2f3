/// Recognises pairs of a Cookie header that a backend's parser could take for a cookie of our name, though their name is
/// another one byte for byte.
///
/// What parsers do (measured or read in their source; `guarantees.md` §1.2):
/// * PHP skips leading white space, turns `.`, blank and `[` into `_` or cuts at `[`, and before 7.4.11 decoded `%XX`
///   and `+`;
/// * Perl's CGI::Cookie and Plack split at `,` too and decode `%XX`, `%uXXXX` and `+` in names;
/// * Python's http.cookies splits at white space too, allows blanks around `=`, and takes a quoted string for one value
///   whatever it holds;
/// * a nameless cookie `=a=b` is sent, and read, as `a=b`;
/// * scripts that grep take what stands behind any character that is no part of a word.
///
/// A name that merely ends in ours (`laravel_session`, `x-session`) is another cookie and is kept, unless ours has one of
/// the prefixes that browsers guard: nobody names a cookie `x__Host-session` without a purpose.
struct CookieImitations: Sendable {
    private let name: [UInt8]
    private let mangledName: [UInt8]
    /// Browsers guard the prefixes in any case of letters, since some servers ignore it.
    private let isGuarded: Bool
    /// Which bytes can be part of a name inside a value.
    private let isWordByte: [Bool]

    init(of name: CookieName) {
        let bytes = Array(name.text.utf8)
        let isGuarded = name.requiresSecure
        self.name = bytes
        self.isGuarded = isGuarded
        self.mangledName = bytes.map { Self.mangled($0, ignoringCase: isGuarded) }
        self.isWordByte = (0...255).map { value in
            let byte = UInt8(value)
            return switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "%"), UInt8(ascii: "+"), 0x80...0xff:
                true
            default:
                bytes.contains(byte)
            }
        }
    }

    /// Whether a pair, trimmed and without semicolons, could be taken for ours. The cookie itself could, of course.
    func contain(_ pair: UnsafeRawBufferPointer) -> Bool {
        var isFirst = true
        for index in pair.indices where pair[index] == UInt8(ascii: "=") {
            if isFirst, self.resembles(pair, 0, index) { return true }
            isFirst = false
            var end = index
            while end > 0, pair[end - 1] <= 0x20 { end -= 1 }
            if end < self.name.count { continue }
            if self.isGuarded, self.endsInName(pair, end) { return true }
            var start = end
            while start > 0, self.isWordByte[Int(pair[start - 1])] { start -= 1 }
            if start > 0, self.resembles(pair, start, end) { return true }
        }
        return isFirst && self.resembles(pair, 0, pair.count)
    }

    private func endsInName(_ pair: UnsafeRawBufferPointer, _ end: Int) -> Bool {
        let start = end - self.name.count
        for index in self.name.indices
        where pair[start + index].lowercasedASCII != self.name[index].lowercasedASCII {
            return false
        }
        return true
    }

    /// Whether a parser could read these bytes as our name.
    private func resembles(_ pair: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
        var reader = NameReader(bytes: pair, index: start, end: end)
        var next = reader.next()
        while let byte = next, byte != 0, byte <= 0x20 || byte == UInt8(ascii: "+") { next = reader.next() }
        for expected in self.mangledName {
            guard let byte = next, Self.mangled(byte, ignoringCase: self.isGuarded) == expected else { return false }
            next = reader.next()
        }
        // PHP cuts at a bracket, C at a NUL, and blanks before the equals sign are skipped by Python.
        if next == UInt8(ascii: "[") || next == 0 { return true }
        while let byte = next, byte <= 0x20 { next = reader.next() }
        return next == nil
    }

    private static func mangled(_ byte: UInt8, ignoringCase: Bool) -> UInt8 {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "["): UInt8(ascii: "_")
        default: ignoringCase ? byte.lowercasedASCII : byte
        }
    }

    /// Reads a name byte by byte, `%XX` and `%uXXXX` decoded.
    private struct NameReader {
        let bytes: UnsafeRawBufferPointer
        var index: Int
        let end: Int

        mutating func next() -> UInt8? {
            guard self.index < self.end else { return nil }
            let byte = self.bytes[self.index]
            if byte == UInt8(ascii: "%") {
                if let value = self.hexadecimal(from: self.index + 1, count: 2) {
                    self.index += 3
                    return UInt8(value)
                }
                if self.index + 1 < self.end, self.bytes[self.index + 1].lowercasedASCII == UInt8(ascii: "u"),
                    let value = self.hexadecimal(from: self.index + 2, count: 4), value < 0x80
                {
                    self.index += 6
                    return UInt8(value)
                }
            }
            self.index += 1
            return byte
        }

        private func hexadecimal(from start: Int, count: Int) -> Int? {
            guard start + count <= self.end else { return nil }
            var value = 0
            for byte in self.bytes[start..<(start + count)] {
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | Int(byte - UInt8(ascii: "0"))
                case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | Int(byte - UInt8(ascii: "a") + 10)
                case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | Int(byte - UInt8(ascii: "A") + 10)
                default: return nil
                }
            }
            return value
        }
    }
}
