/// A browser's connection: kept alive between requests, opened when it is needed. Blocks; used by one thread at a time.
package final class HTTPConnection {
    private let address: SocketAddress
    private let timeout: Duration
    private var socket: ClientSocket?

    package init(_ address: SocketAddress, timeout: Duration = .seconds(60)) {
        self.address = address
        self.timeout = timeout
    }

    /// Without a body.
    /// - Throws: where no whole response came back. The next request opens a new connection.
    package func send(_ method: String, _ path: String, cookie: String?) throws -> HTTPResponse {
        do {
            let socket = try self.socket ?? ClientSocket(self.address, timeout: self.timeout)
            self.socket = socket
            var head = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n"
            if let cookie { head += "Cookie: \(cookie)\r\n" }
            if method != "GET" { head += "Content-Length: 0\r\n" }
            try socket.send(head + "\r\n")
            var parser = HTTPResponseParser(isHead: method == "HEAD")
            while !parser.isComplete {
                let piece = try socket.receive()
                guard !piece.isEmpty else { throw TestingError("the response is not whole") }
                _ = try parser.receive(piece)
            }
            guard let response = parser.response else { throw TestingError("no response") }
            if response.header("Connection")?.lowercased() == "close" { self.close() }
            return response
        } catch {
            self.close()
            throw error
        }
    }

    package func close() {
        self.socket?.close()
        self.socket = nil
    }
}
