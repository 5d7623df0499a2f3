import Foundation
import GatewayTesting
import Testing

/// The Cookie headers of Tests/Shared/cookies.json through nginx, whole and as two headers, to four kinds of backends:
/// what the gateway takes for the session is what the backend's own parser finds, or it finds none.
@Suite(
    .serialized,
    .gatewayStack(
        GatewayStack.Plan(stores: ["__Host-session", "session"]) { parts in
            """
            sites:
              __Host-session:
                \(parts.store)
                cookie:
                  name: __Host-session
                \(parts.fastCGI)
              scripts-__Host-session:
                sessions_of: __Host-session
                \(parts.cgi)
              session:
                \(parts.store)
                cookie:
                  name: session
                \(parts.fastCGI)
              scripts-session:
                sessions_of: session
                \(parts.cgi)
            """
        }
    )
)
struct CookieMatrixTests {
    private struct List: Decodable {
        struct Case: Decodable {
            var cookie: String
            var session: String
        }
        var name: String
        var cases: [Case]
    }

    private static let ids = ["Qm9vdHN0cmFwLXNlc3Npb24x", "Zm9yZ2VkLXNlc3Npb24taWQy"]

    private static func lists() throws -> [List] {
        let file = URL(filePath: #filePath).appending(path: "../../../Shared/cookies.json").standardized
        return try JSONDecoder().decode([List].self, from: Data(contentsOf: file))
    }

    /// The string as one header, and divided near its middle.
    private static func headers(_ cookie: String) -> [[String]] {
        let bytes = Array(cookie.utf8)
        let semicolons = bytes.indices.filter { bytes[$0] == UInt8(ascii: ";") }
        guard let middle = semicolons.min(by: { abs($0 - bytes.count / 2) < abs($1 - bytes.count / 2) }) else {
            return [[cookie], ["theme=dark", cookie]]
        }
        let parts = [bytes[..<middle], bytes[(middle + 1)...]].map { String(decoding: $0, as: UTF8.self) }
        return [[cookie], parts]
    }

    @Test(
        arguments: ["__Host-session", "session"],
        ["/cookie.php", "/cgi-bin/cookie.sh", "/cgi-bin/cookie.py", "/cgi-bin/cookie.pl"]
    )
    func gatewayAndBackendAgree(name: String, page: String) async throws {
        let isScript = page.hasPrefix("/cgi-bin")
        let list = try #require(try Self.lists().first { $0.name == name })
        // Real sessions take the places of the two ids in the strings: unknown ones would all be nobody's.
        var live: [String] = []
        for _ in Self.ids {
            var visitor = try Visitor(site: name)
            visitor.isHTTPS = true
            live.append(try await visitor.view("/page.php?set=x").id)
        }
        var visitor = try Visitor(site: isScript ? "scripts-\(name)" : name)
        visitor.isHTTPS = true
        let client = visitor.stack.client
        let headers = visitor.headers

        var accepted = 0
        var refused = 0
        try await withThrowingTaskGroup(of: (Bool, Bool).self) { group in
            var running = 0
            func collect() async throws {
                guard let (isAccepted, isRefused) = try await group.next() else { return }
                running -= 1
                accepted += isAccepted ? 1 : 0
                refused += isRefused ? 1 : 0
            }
            for item in list.cases {
                var cookie = item.cookie
                var session = item.session
                for (id, real) in zip(Self.ids, live) {
                    cookie = cookie.replacing(id, with: real)
                    session = session.replacing(id, with: real)
                }
                for cookies in Self.headers(cookie) {
                    if running == 6 { try await collect() }
                    running += 1
                    group.addTask { [session, live] in
                        let request = HTTPRequest(
                            "GET",
                            "\(page)?name=\(name)",
                            headers: headers + cookies.map { ("Cookie", $0) }
                        )
                        let response = try await client.send(request)
                        // nginx itself refuses what is no header.
                        if response.status == 400 { return (false, true) }
                        let words = response.text.split(separator: " ", maxSplits: 2).map(String.init)
                        try #require(
                            response.status == 200 && words.count == 3,
                            "\(cookies): \(response.status) \(response.text)"
                        )
                        let gateway = words[0] == "live" ? words[1] : ""
                        let backend = String(words[2].dropFirst().dropLast())
                        #expect(backend == gateway || backend.isEmpty, "\(cookies)")
                        #expect(gateway.isEmpty || live.contains(gateway), "\(cookies)")
                        if cookies.count == 1 {
                            #expect(gateway == (live.contains(session) ? session : ""), "\(cookies)")
                        }
                        return (!gateway.isEmpty, !gateway.isEmpty && backend.isEmpty)
                    }
                }
            }
            while running > 0 { try await collect() }
        }
        #expect(accepted >= 200)
        // Python gives up on a whole header for one pair that it does not like; not on ordinary ones.
        #expect(refused < 60, "\(refused)")
    }
}
