/// Reads one HTTP/1.1 response, strictly enough for tests.
package struct HTTPResponseParser: Sendable {
    private enum Place {
        case head
        case sized(remaining: Int)
        case chunkSize
        case chunk(remaining: Int)
        case chunkEnd
        case trailer
        case toEnd
        case done
    }

    private let isHead: Bool
    private let keepsBody: Bool
    private var place: Place = .head
    private var pending: [UInt8] = []

    /// What is known so far; `nil` before the head is complete.
    package private(set) var response: HTTPResponse?

    package init(isHead: Bool = false, keepsBody: Bool = true) {
        self.isHead = isHead
        self.keepsBody = keepsBody
    }

    /// Whether nothing more belongs to the response.
    package var isComplete: Bool {
        if case .done = self.place { true } else { false }
    }

    /// Bytes that came behind the response.
    package var surplus: [UInt8] { self.isComplete ? self.pending : [] }

    /// - Returns: the piece of the body that is among the bytes.
    package mutating func receive(_ bytes: [UInt8]) throws -> [UInt8] {
        self.pending += bytes
        var body: [UInt8] = []
        while try self.step(&body) {}
        self.response?.bodyLength += body.count
        if self.keepsBody { self.response?.body += body }
        return body
    }

    /// - Returns: whether there may be more to do.
    private mutating func step(_ body: inout [UInt8]) throws -> Bool {
        switch self.place {
        case .head:
            guard let end = self.pending.firstRange(of: Array("\r\n\r\n".utf8)) else { return false }
            try self.readHead(String(decoding: self.pending[..<end.lowerBound], as: UTF8.self))
            self.pending.removeFirst(end.upperBound)
        case .sized(let remaining):
            let count = self.take(remaining, &body)
            self.place = .sized(remaining: remaining - count)
            if remaining == count { self.finish() } else { return false }
        case .chunkSize:
            guard let line = self.line() else { return false }
            guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size >= 0 else {
                throw TestingError("no chunk size: \(line.prefix(40))")
            }
            self.place = size == 0 ? .trailer : .chunk(remaining: size)
        case .chunk(let remaining):
            let count = self.take(remaining, &body)
            self.place = remaining == count ? .chunkEnd : .chunk(remaining: remaining - count)
            return remaining == count
        case .chunkEnd:
            guard let line = self.line() else { return false }
            guard line.isEmpty else { throw TestingError("a chunk is longer than announced") }
            self.place = .chunkSize
        case .trailer:
            guard let line = self.line() else { return false }
            if line.isEmpty { self.finish() }
        case .toEnd:
            _ = self.take(.max, &body)
            return false
        case .done:
            return false
        }
        return true
    }

    private mutating func take(_ limit: Int, _ body: inout [UInt8]) -> Int {
        let count = min(limit, self.pending.count)
        body += self.pending.prefix(count)
        self.pending.removeFirst(count)
        return count
    }

    private mutating func line() -> String? {
        guard let end = self.pending.firstRange(of: Array("\r\n".utf8)) else { return nil }
        let line = String(decoding: self.pending[..<end.lowerBound], as: UTF8.self)
        self.pending.removeFirst(end.upperBound)
        return line
    }

    private mutating func finish() {
        self.place = .done
        self.response?.endedCleanly = true
    }

    private mutating func readHead(_ head: String) throws {
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let words = lines[0].split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw TestingError("no status line: \(lines[0].prefix(80))")
        }
        var headers: [(name: String, value: String)] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw TestingError("no header: \(line.prefix(80))") }
            headers.append((String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " })))
        }
        let response = HTTPResponse(
            status: status,
            reason: words.count > 2 ? String(words[2]) : "",
            headers: headers,
            body: [],
            bodyLength: 0,
            endedCleanly: false
        )
        self.response = response
        if self.isHead || status == 204 || status == 304 {
            self.finish()
        } else if response.header("Transfer-Encoding")?.lowercased() == "chunked" {
            self.place = .chunkSize
        } else if let length = response.header("Content-Length").flatMap({ Int($0) }) {
            self.place = .sized(remaining: length)
        } else {
            self.place = .toEnd
        }
    }
}
