import CGI
import Glibc
import NIOCore
import Testing

@testable import Responder

/// The responder behind a real nginx with kept-alive connections.
@Suite(.timeLimit(.minutes(2))) struct NginxTests {
    private static let executable: String? = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].first {
        path in
        access(path, X_OK) == 0
    }

    /// Runs nginx in front of the harness.
    private func withNginx(_ harness: Harness, _ body: (HTTPClient) async throws -> Void) async throws {
        let folder = try TemporaryFolder()
        let socket = folder.path + "/nginx"
        let text = """
            daemon off;
            master_process off;
            error_log \(folder.path)/error info;
            pid \(folder.path)/pid;
            events { worker_connections 500; }
            http {
                access_log off;
                client_max_body_size 100m;
                client_body_temp_path \(folder.path)/body;
                proxy_temp_path \(folder.path)/proxy;
                fastcgi_temp_path \(folder.path)/fastcgi;
                uwsgi_temp_path \(folder.path)/uwsgi;
                scgi_temp_path \(folder.path)/scgi;
                upstream gateway { server unix:\(harness.path); keepalive 8; }
                server {
                    listen unix:\(socket);
                    keepalive_requests 10000;
                    location / {
                        fastcgi_pass gateway;
                        fastcgi_keep_conn on;
                        include /etc/nginx/fastcgi_params;
                        fastcgi_param SERVER_NAME own;
                        location /unbuffered { fastcgi_pass gateway; fastcgi_request_buffering off; fastcgi_buffering off; }
                    }
                }
            }
            """
        try folder.write(text, to: "nginx.conf")
        let process = try ChildProcess([
            try #require(Self.executable), "-p", folder.path, "-c", folder.path + "/nginx.conf", "-e",
            folder.path + "/error",
        ])
        let result: Result<Void, any Error>
        do {
            try await self.connect(socket, body)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await process.end()
        try result.get()
    }

    private func connect(_ socket: String, _ body: (HTTPClient) async throws -> Void) async throws {
        var client: RawClient?
        for _ in 0..<500 where client == nil {
            client = try? RawClient(unix: socket)
            if client == nil { try await Task.sleep(for: .milliseconds(10)) }
        }
        try await body(HTTPClient(raw: try #require(client), path: socket))
    }

    /// Just enough HTTP.
    private struct HTTPClient {
        let raw: RawClient
        let path: String

        struct Response {
            var head = ""
            var body: [UInt8] = []
        }

        func response() async throws -> Response {
            var bytes: [UInt8] = []
            let end = Array("\r\n\r\n".utf8)
            while !bytes.suffix(4).elementsEqual(end) {
                let byte = try await self.raw.read(atMost: 1)
                guard !byte.isEmpty else { throw RawClient.Failure(description: "closed in the head") }
                bytes += byte
            }
            let head = String(decoding: bytes, as: UTF8.self)
            let line = head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
            let length = try #require(line.flatMap { Int($0.dropFirst(16)) })
            var body: [UInt8] = []
            while body.count < length {
                let piece = try await self.raw.read(atMost: min(65_536, length - body.count))
                guard !piece.isEmpty else { throw RawClient.Failure(description: "closed in the body") }
                body += piece
            }
            return Response(head: head, body: body)
        }

        func get(_ path: String, _ fields: String = "") async throws -> Response {
            try await self.raw.send(Array("GET \(path) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n".utf8))
            return try await self.response()
        }
    }

    private static func answer(_ request: IncomingRequest, _ body: [UInt8]) async throws {
        try await request.write(
            ByteBuffer(string: "Content-Type: text/plain\r\nContent-Length: \(body.count)\r\n\r\n")
        )
        try await request.write(ByteBuffer(bytes: body))
        await request.finish()
    }

    @Test(.enabled(if: executable != nil, "nginx is not installed"))
    func aThousandRequestsUseOneConnection() async throws {
        try await Harness.run { request in
            let parameters = request.parameters
            let text =
                "\(parameters.string("REQUEST_URI") ?? "-") \(parameters.string("HTTP_COOKIE") ?? "-") "
                + "\(parameters.string("SERVER_NAME") ?? "-")"
            try await Self.answer(request, Array(text.utf8))
        } _: { harness in
            try await self.withNginx(harness) { client in
                for number in 0..<1_000 {
                    let response = try await client.get("/\(number)", "Cookie: a=1\r\nCookie: b=2\r\n")
                    #expect(String(decoding: response.body, as: UTF8.self) == "/\(number) a=1; b=2 own")
                }
            }
            #expect(harness.responder.statistics.requests == 1_000)
            #expect(harness.responder.statistics.accepted == 1)
            #expect(harness.responder.statistics.refusals == [:])
        }
    }

    @Test(.enabled(if: executable != nil, "nginx is not installed"), arguments: ["/buffered", "/unbuffered"])
    func anUploadComesBackWhole(path: String) async throws {
        let size = 20_000_000
        let bytes = Wire.bytes(size)
        try await Harness.run { request in
            try await request.write(
                ByteBuffer(string: "Content-Type: application/octet-stream\r\nContent-Length: \(size)\r\n\r\n")
            )
            // nginx 1.22 sends no more of a request's body once it has received something of the response.
            var pieces: [ByteBuffer] = []
            while let piece = try await request.nextBodyChunk() { pieces.append(piece) }
            for piece in pieces { try await request.write(piece) }
            await request.finish()
        } _: { harness in
            try await self.withNginx(harness) { client in
                for _ in 0..<2 {
                    async let sending: Void = client.raw.sendApart(
                        Array("POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n".utf8) + bytes
                    )
                    let response = try await client.response()
                    try await sending
                    #expect(response.body == bytes)
                }
            }
            #expect(harness.responder.statistics.refusals == [:])
        }
    }

    @Test(.enabled(if: executable != nil, "nginx is not installed"))
    func aClientThatLeavesIsReportedThroughNginx() async throws {
        let gone = Signal()
        let received = Signal()
        try await Harness.run { request in
            request.onClientGone { gone.fire() }
            received.fire()
            await gone.wait()
        } _: { harness in
            try await self.withNginx(harness) { client in
                try await client.raw.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
                await received.wait()
                client.raw.hangUp()
                try await harness.waitFor { $0.lostRequests == 1 }
            }
            try await harness.waitFor { _ in gone.count == 1 }
        }
    }

    @Test(.enabled(if: executable != nil, "nginx is not installed"))
    func anAnswerBeforeTheBodyIsReadLeavesNothingToTheNextRequest() async throws {
        try await Harness.run { request in
            #expect(request.parameters.string("SCRIPT_FILENAME") != "/etc/passwd")
            try await Self.answer(request, Array("early".utf8))
        } _: { harness in
            try await self.withNginx(harness) { client in
                let attack = Wire.request([("SCRIPT_FILENAME", "/etc/passwd")])
                for offset in 0..<16 {
                    var body = [UInt8](repeating: 0, count: offset)
                    while body.count < 150_000 { body += attack }
                    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n"
                    try await client.raw.send(Array(head.utf8) + body)
                    #expect(try await client.response().body == Array("early".utf8))
                    #expect(try await client.get("/").body == Array("early".utf8))
                }
            }
            #expect(harness.responder.statistics.requests == 32)
        }
    }

    @Test(.enabled(if: executable != nil, "nginx is not installed"))
    func aHeadThatIsTooLargeIsTheClientsFault() async throws {
        try await Harness.run { request in
            try await Self.answer(request, [])
        } _: { harness in
            try await self.withNginx(harness) { client in
                let fields = (0..<600).map { "X-\($0): x\r\n" }.joined()
                try await client.raw.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n".utf8))
                let head = try await client.raw.read(atMost: 50)
                #expect(String(decoding: head, as: UTF8.self).hasPrefix("HTTP/1.1 431 "))
            }
            try await harness.expectRefusals([.manyParameters: 1])
        }
    }
}
