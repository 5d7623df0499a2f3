import Foundation
import GatewayTesting
import Testing

/// One visitor with a browser.
struct Visitor {
    var jar = CookieJar()
    var site: String
    let stack: AdapterStack

    init(_ site: String = "default") throws {
        self.stack = try AdapterStack.current
        self.site = site
    }

    mutating func get(_ path: String) async throws -> HTTPResponse {
        try await self.stack.client.send(HTTPRequest("GET", path, headers: [("X-Site", self.site)]), cookies: &self.jar)
    }

    /// Runs a page of PHP that is made for this request.
    mutating func run(_ code: String) async throws -> HTTPResponse {
        // Each has a name of its own: opcache looks at files every two seconds only.
        let name = "made/\(UUID().uuidString).php"
        try self.stack.write(name, "<?php\n\(code)\n")
        return try await self.get("/\(name)")
    }

    /// What the visitor's session holds, as JSON.
    mutating func session() async throws -> String {
        try await self.run("session_start(['read_and_close' => true]); echo json_encode($_SESSION);").text
    }
}

extension HTTPResponse {
    /// The gateway's word about the session, as nginx's log shows it.
    var outcome: String { self.header("X-Outcome") ?? "" }
}
