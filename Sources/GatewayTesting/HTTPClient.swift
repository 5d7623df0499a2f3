import Foundation

/// Sends requests over HTTP/1.1, one connection each, on a thread each.
package struct HTTPClient: Sendable {
    package var address: SocketAddress
    /// The Host header.
    package var host: String
    /// How long the connection may be silent.
    package var timeout: Duration

    package init(_ address: SocketAddress, host: String = "localhost", timeout: Duration = .seconds(60)) {
        self.address = address
        self.host = host
        self.timeout = timeout
    }

    /// - Parameters:
    ///   - keepsBody: whether the response holds the body; what is not kept is only counted.
    ///   - onBody: gets every piece of the body as it comes, on the connection's thread.
    /// - Throws: `TestingError` where no whole head came back.
    package func send(
        _ request: HTTPRequest,
        keepsBody: Bool = true,
        onBody: (@Sendable ([UInt8]) -> Void)? = nil
    ) async throws -> HTTPResponse {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                continuation.resume(
                    with: Result { try self.sendHere(request, keepsBody: keepsBody, onBody: onBody) }
                )
            }
            thread.stackSize = 512 * 1_024
            thread.start()
        }
    }

    package func get(_ path: String, cookies: CookieJar? = nil) async throws -> HTTPResponse {
        try await self.send(HTTPRequest("GET", path, headers: cookies?.header.map { [("Cookie", $0)] } ?? []))
    }

    /// Sends with the jar's cookies, and takes the response's.
    package func send(_ request: HTTPRequest, cookies: inout CookieJar) async throws -> HTTPResponse {
        var request = request
        if let header = cookies.header { request.headers.append(("Cookie", header)) }
        let response = try await self.send(request)
        cookies.take(response)
        return response
    }

    package func get(_ path: String, cookies: inout CookieJar) async throws -> HTTPResponse {
        try await self.send(HTTPRequest("GET", path), cookies: &cookies)
    }

    /// The head as it is sent, with `Connection: close`.
    package func head(_ request: HTTPRequest) -> String {
        var head = "\(request.method) \(request.path) HTTP/1.1\r\nHost: \(self.host)\r\nConnection: close\r\n"
        for (name, value) in request.headers { head += "\(name): \(value)\r\n" }
        let length: Int? =
            switch request.body {
            case .none: nil
            case .text(let text): text.utf8.count
            case .bytes(let bytes): bytes.count
            case .pattern(let length): length
            }
        if let length { head += "Content-Length: \(length)\r\n" }
        return head + "\r\n"
    }

    private func sendHere(
        _ request: HTTPRequest,
        keepsBody: Bool,
        onBody: (([UInt8]) -> Void)?
    ) throws -> HTTPResponse {
        let socket = try ClientSocket(self.address, timeout: self.timeout)
        do {
            try socket.send(self.head(request))
            try self.sendBody(request.body, socket)
        } catch {
            // The server may answer early and close; what it said is there to be read.
        }
        var parser = HTTPResponseParser(isHead: request.method == "HEAD", keepsBody: keepsBody)
        while !parser.isComplete {
            let piece: [UInt8]
            do {
                piece = try socket.receive()
            } catch  where parser.response != nil {
                break
            }
            if piece.isEmpty { break }
            let body = try parser.receive(piece)
            if let onBody, !body.isEmpty { onBody(body) }
        }
        guard let response = parser.response else {
            throw TestingError("\(request.method) \(request.path): the connection ended without a head")
        }
        return response
    }

    private func sendBody(_ body: HTTPRequest.Body, _ socket: ClientSocket) throws {
        switch body {
        case .none: break
        case .text(let text): try socket.send(text)
        case .bytes(let bytes): try socket.send(bytes)
        case .pattern(let length):
            var offset = 0
            while offset < length {
                let end = min(offset + 65_536, length)
                try socket.send((offset..<end).map(HTTPRequest.patternByte))
                offset = end
            }
        }
    }
}
