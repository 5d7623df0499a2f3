import Glibc
package import Sessions

/// The gateway's own clock: expiry and version numbers. It orders nothing.
package enum StoreClock {
    /// Milliseconds since 1970.
    package static var now: SessionRecord.Timestamp { self.microseconds / 1_000 }

    static var microseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000_000 &+ UInt64(clamping: time.tv_nsec) / 1_000
    }
}

extension Duration {
    package var wholeSeconds: Int { Int(clamping: self.components.seconds) }

    var nanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (product, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflows ? .max : product &+ attoseconds / 1_000_000_000
    }
}
