import Foundation
import GatewayTesting
import Testing

/// What a page says it was told about its session, and what came with it (page.php, page.py).
struct SessionView {
    private struct Page: Decodable {
        var state: String
        var id: String
        var next: String
        var version: String
        var data: Data
        var cookies: [String: String]
        var names: [String]
    }

    private let page: Page
    let response: HTTPResponse

    init(_ response: HTTPResponse, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try #require(response.status == 200, "\(response.text)", sourceLocation: sourceLocation)
        self.page = try JSONDecoder().decode(Page.self, from: Data(response.body))
        self.response = response
    }

    var state: String { self.page.state }
    var id: String { self.page.id }
    var nextID: String { self.page.next }
    var version: Int { Int(self.page.version) ?? -1 }
    var data: [UInt8] { Array(self.page.data) }
    var text: String { String(decoding: self.page.data, as: UTF8.self) }
    /// The backend's own idea of the request's cookies.
    var cookies: [String: String] { self.page.cookies }
    /// The names of all that the backend was given.
    var names: [String] { self.page.names }
    var outcome: String { self.response.outcome }
}

extension HTTPResponse {
    /// The gateway's word about the session, as nginx's log shows it.
    var outcome: String { self.header("X-Outcome") ?? "" }
}

/// One visitor with a browser.
struct Visitor {
    var jar = CookieJar()
    /// The site that nginx names; nil where it names none.
    var site: String?
    var isHTTPS = false
    let stack: GatewayStack

    init(site: String? = nil) throws {
        self.init(stack: try GatewayStack.current, site: site)
    }

    init(stack: GatewayStack, site: String? = nil) {
        self.stack = stack
        self.site = site
    }

    var headers: [(name: String, value: String)] {
        (self.site.map { [("X-Site", $0)] } ?? []) + (self.isHTTPS ? [("X-Https", "on")] : [])
    }

    mutating func get(_ path: String) async throws -> HTTPResponse {
        try await self.stack.client.send(HTTPRequest("GET", path, headers: self.headers), cookies: &self.jar)
    }

    mutating func view(_ path: String = "/page.php", at location: SourceLocation = #_sourceLocation) async throws
        -> SessionView
    {
        try SessionView(try await self.get(path), sourceLocation: location)
    }
}
