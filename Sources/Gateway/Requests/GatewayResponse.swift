import CGI
import NIOCore
import Responder

/// An answer that the gateway gives by itself.
struct GatewayResponse: Sendable {
    var head: CGIResponseHead
    var body: ByteBuffer

    /// A short text for the visitor; the reason goes to the log.
    static func error(_ status: Int, _ text: String, outcome: SessionOutcome = .unchanged) -> GatewayResponse {
        let body = ByteBuffer(string: "\(status) \(CGIResponseHead.standardReason(status))\n\n\(text)\n")
        var head = CGIResponseHead(status: status)
        head.append("Content-Type", "text/plain; charset=utf-8")
        head.append("Content-Length", "\(body.readableBytes)")
        head.append("Cache-Control", "no-store")
        head.append("Session-Outcome", outcome.rawValue)
        if status == 503 {
            head.append("Retry-After", "1")
        }
        return GatewayResponse(head: head, body: body)
    }

    /// Sends it and ends the request.
    func send(to request: IncomingRequest) async {
        var bytes = ByteBuffer()
        self.head.encode(into: &bytes)
        if request.parameters.string("REQUEST_METHOD") != "HEAD" {
            bytes.writeImmutableBuffer(self.body)
        }
        do {
            try await request.write(bytes)
            await request.finish()
        } catch {
            // The client is gone.
            request.abort()
        }
    }
}
