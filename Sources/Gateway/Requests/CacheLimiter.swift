import CGI
import Configuration
import NIOCore

/// The fields against caching, by PHP's names (`session.cache_limiter`).
enum CacheLimiter {
    /// PHP's default of `session.cache_expire`: 180 minutes.
    private static let seconds = 10_800
    private static let past = "Thu, 19 Nov 1981 08:52:00 GMT"

    static func append(_ limiter: GatewayConfiguration.CacheLimiter, to head: inout CGIResponseHead) {
        switch limiter {
        case .privateNoStore:
            head.append("Cache-Control", "private, no-store")
        case .noCache:
            head.append("Expires", Self.past)
            head.append("Cache-Control", "no-store, no-cache, must-revalidate")
            head.append("Pragma", "no-cache")
        case .private:
            head.append("Expires", Self.past)
            head.append("Cache-Control", "private, max-age=\(Self.seconds)")
        case .privateNoExpire:
            head.append("Cache-Control", "private, max-age=\(Self.seconds)")
        case .public:
            head.append("Cache-Control", "public, max-age=\(Self.seconds)")
        case .none:
            break
        }
    }
}
