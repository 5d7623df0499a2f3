import CGI
import Configuration
import NIOCore

/// The fields against caching, by PHP's names (`session.cache_limiter`).
enum CacheLimiter {
    /// PHP's default of `session.cache_expire`: 180 minutes.
    private static let maximumAge = "max-age=10800"
    // Of every answer with a session: no buffer is made for each.
    private static let past = ByteBuffer(string: "Thu, 19 Nov 1981 08:52:00 GMT")
    private static let noCache = ByteBuffer(string: "no-cache")
    private static let notStored = ByteBuffer(string: "private, no-store")
    private static let notStoredAtAll = ByteBuffer(string: "no-store, no-cache, must-revalidate")
    private static let forThisVisitor = ByteBuffer(string: "private, \(Self.maximumAge)")
    private static let forAll = ByteBuffer(string: "public, \(Self.maximumAge)")

    static func append(_ limiter: GatewayConfiguration.CacheLimiter, to head: inout CGIResponseHead) {
        switch limiter {
        case .privateNoStore:
            head.append("Cache-Control", Self.notStored)
        case .noCache:
            head.append("Expires", Self.past)
            head.append("Cache-Control", Self.notStoredAtAll)
            head.append("Pragma", Self.noCache)
        case .private:
            head.append("Expires", Self.past)
            head.append("Cache-Control", Self.forThisVisitor)
        case .privateNoExpire:
            head.append("Cache-Control", Self.forThisVisitor)
        case .public:
            head.append("Cache-Control", Self.forAll)
        case .none:
            break
        }
    }
}
