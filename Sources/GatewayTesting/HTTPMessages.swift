/// A request of a test.
package struct HTTPRequest: Sendable {
    package enum Body: Sendable {
        case none
        case text(String)
        case bytes([UInt8])
        /// So many bytes, made a piece at a time: `HTTPRequest.patternByte` of each offset.
        case pattern(length: Int)
    }

    package var method: String
    package var path: String
    package var headers: [(name: String, value: String)]
    package var body: Body

    package init(
        _ method: String = "GET",
        _ path: String,
        headers: [(name: String, value: String)] = [],
        body: Body = .none
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
    }

    /// The byte at an offset of a long body: every piece looks different, so that none can be lost or swapped unnoticed.
    package static func patternByte(_ offset: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: offset ^ (offset >> 8) &* 31 ^ (offset >> 16) &* 17)
    }
}

/// A response of a test.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var reason: String
    package var headers: [(name: String, value: String)]
    /// The body, empty where the client was told not to keep it.
    package var body: [UInt8]
    /// Bytes of the body, kept or not.
    package var bodyLength: Int
    /// Whether the body came to its end: the last chunk, or as many bytes as announced. What is delimited by the end of
    /// the connection never does.
    package var endedCleanly: Bool

    package var text: String { String(decoding: self.body, as: UTF8.self) }

    /// The first field of that name, in any case of letters.
    package func header(_ name: String) -> String? { self.headers(name).first }

    package func headers(_ name: String) -> [String] {
        self.headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }
}

/// The cookies that a browser would hold for one host: all of its paths, Secure or not.
package struct CookieJar: Sendable {
    package private(set) var cookies: [(name: String, value: String)] = []

    package init() {}

    package subscript(name: String) -> String? {
        get { self.cookies.first { $0.name == name }?.value }
        set {
            self.cookies.removeAll { $0.name == name }
            if let newValue { self.cookies.append((name, newValue)) }
        }
    }

    /// The Cookie header; `nil` where there is none.
    package var header: String? {
        self.cookies.isEmpty ? nil : self.cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; ")
    }

    /// Takes what a response sets and forgets what it removes.
    package mutating func take(_ response: HTTPResponse) {
        for field in response.headers("Set-Cookie") {
            let parts = field.split(separator: ";").map { $0.trimmed }
            guard let pair = parts.first, let equals = pair.firstIndex(of: "=") else { continue }
            let isRemoved = parts.dropFirst().contains { part in
                let words = part.split(separator: "=", maxSplits: 1)
                guard words.count == 2, words[0].lowercased() == "max-age" else { return false }
                return (Int(words[1]) ?? 0) <= 0
            }
            self[String(pair[..<equals])] = isRemoved ? nil : String(pair[pair.index(after: equals)...])
        }
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        self.drop { $0 == " " }
    }
}
