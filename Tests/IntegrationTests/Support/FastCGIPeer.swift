import GatewayTesting

/// A web server's connection to the gateway, played by hand, byte by byte where a test wants to.
///
/// Used by one thread at a time, or by one that sends and one that receives, which the kernel allows
/// (`@unchecked Sendable`).
final class FastCGIPeer: @unchecked Sendable {
    struct Answer: Sendable {
        var output: [UInt8] = []
        var hasEnded = false
        var text: String { String(decoding: self.output, as: UTF8.self) }
        var status: Int {
            let text = self.text
            return text.hasPrefix("Status: ") ? Int(text.dropFirst(8).prefix(3)) ?? 0 : 200
        }
    }

    let socket: ClientSocket
    private var received: [UInt8] = []
    private var offset = 0

    init(_ address: SocketAddress, timeout: Duration = .seconds(60)) throws {
        self.socket = try ClientSocket(address, timeout: timeout)
    }

    // MARK: Bytes

    static func record(_ type: UInt8, _ content: some Collection<UInt8> = [], id: UInt16 = 1) -> [UInt8] {
        let length = content.count
        return [1, type, UInt8(id >> 8), UInt8(id & 255), UInt8(length >> 8), UInt8(length & 255), 0, 0] + content
    }

    static func head(_ parameters: [(String, String)], keeps: Bool = true) -> [UInt8] {
        var pairs: [UInt8] = []
        for (name, value) in parameters {
            pairs += self.length(name.utf8.count) + self.length(value.utf8.count) + Array(name.utf8)
            pairs += Array(value.utf8)
        }
        return self.record(1, [0, 1, keeps ? 1 : 0, 0, 0, 0, 0, 0]) + self.record(4, pairs) + self.record(4)
    }

    /// What nginx sends for a GET of a page.
    static func page(
        _ path: String,
        query: String = "",
        root: String,
        site: String? = nil,
        more: [(String, String)] = []
    ) -> [(String, String)] {
        [
            ("QUERY_STRING", query), ("REQUEST_METHOD", "GET"), ("CONTENT_TYPE", ""), ("CONTENT_LENGTH", ""),
            ("SCRIPT_NAME", path), ("REQUEST_URI", query.isEmpty ? path : "\(path)?\(query)"), ("DOCUMENT_URI", path),
            ("DOCUMENT_ROOT", root), ("SERVER_PROTOCOL", "HTTP/1.1"), ("REQUEST_SCHEME", "http"),
            ("GATEWAY_INTERFACE", "CGI/1.1"), ("SERVER_SOFTWARE", "nginx/1.22.1"), ("REMOTE_ADDR", "127.0.0.1"),
            ("REMOTE_PORT", "40000"), ("SERVER_ADDR", "127.0.0.1"), ("SERVER_PORT", "80"),
            ("SERVER_NAME", "localhost"), ("REDIRECT_STATUS", "200"), ("SCRIPT_FILENAME", root + path),
            ("HTTP_HOST", "localhost"), ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)"),
        ].filter { name, _ in !more.contains { $0.0 == name } } + more + (site.map { [("SESSION_SITE", $0)] } ?? [])
    }

    private static func length(_ count: Int) -> [UInt8] {
        count < 128
            ? [UInt8(count)]
            : [UInt8(count >> 24) | 128, UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)]
    }

    // MARK: Conversation

    func send(_ bytes: [UInt8]) throws { try self.socket.send(bytes) }

    /// A whole request without a body.
    func get(_ parameters: [(String, String)]) throws -> Answer {
        try self.send(Self.head(parameters) + Self.record(5))
        return try self.answer()
    }

    /// Everything up to the end of the request, or of the connection.
    func answer() throws -> Answer {
        var answer = Answer()
        while let (type, content) = try self.nextRecord() {
            if type == 6 { answer.output += content }
            if type == 3 {
                answer.hasEnded = true
                break
            }
        }
        return answer
    }

    /// The next record's type and content; nil at the end of the connection.
    func nextRecord() throws -> (type: UInt8, content: ArraySlice<UInt8>)? {
        guard try self.fill(8) else { return nil }
        let type = self.received[self.offset + 1]
        let length = Int(self.received[self.offset + 4]) << 8 | Int(self.received[self.offset + 5])
        let padding = Int(self.received[self.offset + 6])
        guard try self.fill(8 + length + padding) else { return nil }
        let content = self.received[self.offset + 8..<self.offset + 8 + length]
        self.offset += 8 + length + padding
        return (type, content)
    }

    private func fill(_ count: Int) throws -> Bool {
        while self.received.count - self.offset < count {
            if self.offset > 0 {
                self.received.removeFirst(self.offset)
                self.offset = 0
            }
            let piece = try self.socket.receive(262_144)
            if piece.isEmpty { return false }
            self.received += piece
        }
        return true
    }
}
