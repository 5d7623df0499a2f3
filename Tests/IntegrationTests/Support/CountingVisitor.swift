import GatewayTesting

/// A session as the pages write it: how many writes it has seen, and the last two of them.
struct SeenSession: Sendable, Equatable {
    var count: Int
    var nonce: String
    var base: String

    init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count >= 3, let count = Int(words[0]) else { return nil }
        self.count = count
        self.nonce = String(words[1])
        self.base = String(words[2])
    }
}

/// What one request to a page has shown.
struct Visit: Sendable {
    var start: ContinuousClock.Instant
    var end: ContinuousClock.Instant
    /// 0 where no answer came.
    var status: Int
    var outcome: String
    /// What the page was given; nil for a new visitor, and where the page was not reached.
    var seen: SeenSession?
    /// What the page wrote.
    var nonce: String?
}

/// Somebody with a browser: keeps the cookie.
struct CountingVisitor: Sendable {
    let client: HTTPClient
    var cookies = CookieJar()

    init(_ client: HTTPClient, _ cookies: CookieJar = CookieJar()) {
        self.client = client
        self.cookies = cookies
    }

    mutating func read(_ more: String = "") async -> Visit { await self.visit(nonce: nil, more, self.client) }

    /// Through another gateway than usual.
    mutating func read(through client: HTTPClient) async -> Visit { await self.visit(nonce: nil, "", client) }

    mutating func write(_ nonce: String, _ more: String = "") async -> Visit {
        await self.visit(nonce: nonce, more, self.client)
    }

    mutating func write(_ nonce: String, through client: HTTPClient) async -> Visit {
        await self.visit(nonce: nonce, "", client)
    }

    private mutating func visit(nonce: String?, _ more: String, _ client: HTTPClient) async -> Visit {
        let query = [nonce.map { "nonce=\($0)" }, more.isEmpty ? nil : more].compactMap(\.self).joined(separator: "&")
        let start = ContinuousClock.now
        guard let response = try? await client.get("/page.php?\(query)", cookies: &self.cookies) else {
            return Visit(start: start, end: .now, status: 0, outcome: "", seen: nil, nonce: nonce)
        }
        return Visit(
            start: start,
            end: .now,
            status: response.status,
            outcome: response.header("X-Outcome") ?? "",
            seen: response.status == 200 ? SeenSession(response.text) : nil,
            nonce: nonce
        )
    }
}
