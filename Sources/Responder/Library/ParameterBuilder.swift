import CGI
import Glibc

/// Builds `Parameters` from `NAME=VALUE` strings, one pair per name.
///
/// Repeated HTTP_COOKIE values are joined by "; ". Of any other name the last value counts, headers too, as a repeated
/// `fastcgi_param` works with php-fpm: Debian's `fastcgi_params` sets HTTP_HOST, and a site may set it again behind that.
struct ParameterBuilder {
    private(set) var parameters = Parameters()
    /// How many pairs had the name of an earlier one.
    private(set) var repeatedCount = 0

    // One bit per hash: the common head, where all names differ, is built without comparing names.
    private var seen: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    mutating func append(_ pair: UnsafePointer<CChar>) {
        guard let separator = strchr(pair, Int32(UInt8(ascii: "="))) else { return }
        let name = UnsafeBufferPointer<UInt8>(
            start: UnsafeRawPointer(pair).assumingMemoryBound(to: UInt8.self),
            count: UnsafePointer(separator) - pair
        )
        let value = UnsafeBufferPointer<UInt8>(
            start: UnsafeRawPointer(separator + 1).assumingMemoryBound(to: UInt8.self),
            count: strlen(separator + 1)
        )
        if self.mayBeRepeated(name) {
            let text = String(decoding: name, as: UTF8.self)
            if let earlier = self.parameters.bytes(text) {
                self.repeatedCount += 1
                if text == "HTTP_COOKIE" {
                    self.parameters.set(text, Array(earlier) + Array("; ".utf8) + Array(value))
                } else {
                    self.parameters.set(text, value)
                }
                return
            }
        }
        self.parameters.append(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer(value))
    }

    private mutating func mayBeRepeated(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        // FNV-1a.
        var hash: UInt32 = 2_166_136_261
        for byte in name {
            hash = (hash ^ UInt32(byte)) &* 16_777_619
        }
        hash ^= hash >> 16
        let bit: UInt64 = 1 << UInt64(hash & 63)
        switch hash >> 6 & 3 {
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
