import CGI
import Logging
import NIOCore
import NIOPosix

@testable import Backends

/// What a backend answered, whole.
struct Answer: Sendable {
    var head: CGIResponseHead?
    var body = ByteBuffer()
    var errorText = ""
    var events: [String] = []
    var error: BackendError?

    var text: String { String(buffer: self.body) }

    /// Takes events until the end or an error.
    init(_ exchange: any BackendExchange, keepsBody: Bool = true) async {
        do throws(BackendError) {
            while true {
                switch try await exchange.next() {
                case .head(let head):
                    self.head = head
                    self.events.append("head")
                case .body(let bytes):
                    if keepsBody { self.body.writeImmutableBuffer(bytes) }
                    if self.events.last != "body" { self.events.append("body") }
                case .errorText(let bytes):
                    self.errorText += String(buffer: bytes)
                    if self.events.last != "error" { self.events.append("error") }
                case .end:
                    self.events.append("end")
                    return
                }
            }
        } catch {
            self.error = error
        }
    }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func request(
    _ pairs: KeyValuePairs<String, String>,
    body: BackendRequest.Body = .complete(ByteBuffer()),
    on eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()
) -> BackendRequest {
    var parameters = Parameters()
    for (name, value) in pairs { parameters.append(name, value) }
    return BackendRequest(parameters: parameters, body: body, eventLoop: eventLoop)
}

extension Backend {
    /// One request and its whole answer; an error at the beginning is the answer's error.
    func answer(_ request: BackendRequest) async -> Answer {
        do throws(BackendError) {
            return await Answer(try await self.begin(request))
        } catch {
            return Answer(error: error)
        }
    }
}

extension Answer {
    init(error: BackendError) {
        self.error = error
    }
}

extension BackendExchange {
    /// Whether an answer of a FastCGI application has an event that nobody has taken yet.
    var hasBufferedEvent: Bool { (self as? FastCGIExchange)?.run.events.hasBufferedEvent ?? false }
}
