import CGI
import Glibc

/// Builds `Parameters` from `NAME=VALUE` strings, one pair per name.
///
/// Repeated HTTP_COOKIE values are joined by "; ". Of any other name the last value counts, headers too, as a repeated
/// `fastcgi_param` works with php-fpm: Debian's `fastcgi_params` sets HTTP_HOST, and a site may set it again behind that.
struct ParameterBuilder {
    private(set) var parameters: Parameters
    /// How many pairs had the name of an earlier one.
    private(set) var repeatedCount = 0

    /// - Parameters:
    ///   - pairs: ends with a null pointer.
    ///   - byteCount: at least that of the pairs as they came in.
    init(_ pairs: UnsafePointer<UnsafeMutablePointer<CChar>?>, atMost byteCount: Int) {
        self.parameters = Parameters(reservingCapacity: byteCount)
        var seen = NameFilter()
        var laterPairs: [Pair] = []
        self.parameters.append(atMost: byteCount) { appender in
            var next = pairs
            while let string = next.pointee {
                next += 1
                guard let pair = Pair(string) else { continue }
                if seen.mayHaveSeen(pair.name) {
                    laterPairs.append(pair)
                } else {
                    appender.append(UnsafeRawBufferPointer(pair.name), UnsafeRawBufferPointer(pair.value))
                }
            }
        }
        var cookies: [UInt8] = []
        for pair in laterPairs { self.append(pair, cookies: &cookies) }
        if !cookies.isEmpty, let first = self.parameters.bytes(Self.cookieName) {
            self.parameters.set(Self.cookieName, Array(first) + cookies)
        }
    }

    private static let cookieName = "HTTP_COOKIE"

    private struct Pair {
        let name: UnsafeBufferPointer<UInt8>
        let value: UnsafeBufferPointer<UInt8>

        init?(_ string: UnsafePointer<CChar>) {
            guard let separator = strchr(string, Int32(UInt8(ascii: "="))) else { return nil }
            self.name = UnsafeBufferPointer<UInt8>(
                start: UnsafeRawPointer(string).assumingMemoryBound(to: UInt8.self),
                count: UnsafePointer(separator) - string
            )
            self.value = UnsafeBufferPointer<UInt8>(
                start: UnsafeRawPointer(separator + 1).assumingMemoryBound(to: UInt8.self),
                count: strlen(separator + 1)
            )
        }
    }

    /// One that may have the name of an earlier one.
    /// - Parameter cookies: what is to stand behind the first value of HTTP_COOKIE.
    private mutating func append(_ pair: Pair, cookies: inout [UInt8]) {
        let name = String(decoding: pair.name, as: UTF8.self)
        guard self.parameters.bytes(name) != nil else {
            self.parameters.append(UnsafeRawBufferPointer(pair.name), UnsafeRawBufferPointer(pair.value))
            return
        }
        self.repeatedCount += 1
        if name == Self.cookieName {
            cookies += "; ".utf8
            cookies += pair.value
        } else {
            self.parameters.set(name, pair.value)
        }
    }
}

/// Tells most names that differ apart without comparing them: the common head, where all do, is built without that.
private struct NameFilter {
    // One bit per hash.
    private var seen: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Whether the name may have been given before; it has been from now on.
    mutating func mayHaveSeen(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        // The ends of the names tell those of one request apart, with their lengths.
        var end: UInt64 = 0
        if name.count >= 8 {
            end = UnsafeRawPointer(name.baseAddress! + name.count - 8).loadUnaligned(as: UInt64.self)
        } else {
            for byte in name { end = end << 8 | UInt64(byte) }
        }
        // A factor with which no two of the names that nginx usually sends have the same hash.
        let hash = ((end ^ UInt64(name.count)) &* 0xc0d7_6560_fbbe_9381) >> 56
        let bit: UInt64 = 1 << UInt64(hash & 63)
        switch hash >> 6 {
        case 0:
            defer { self.seen.0 |= bit }
            return self.seen.0 & bit != 0
        case 1:
            defer { self.seen.1 |= bit }
            return self.seen.1 & bit != 0
        case 2:
            defer { self.seen.2 |= bit }
            return self.seen.2 & bit != 0
        default:
            defer { self.seen.3 |= bit }
            return self.seen.3 & bit != 0
        }
    }
}
