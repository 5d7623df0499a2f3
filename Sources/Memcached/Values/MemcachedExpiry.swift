/// How long memcached keeps an item, counted from when it gets the command.
package enum MemcachedExpiry: Sendable, Hashable {
    /// Until it is evicted.
    case never
    /// Seconds from now. Values below 1 count as 1, so that a rounding never makes an item immortal (memcached's 0).
    case seconds(Int)

    /// memcached takes up to 30 days as relative and reads anything above as Unix time.
    package static let longestRelativeSeconds = 2_592_000

    /// The number for the `T` flag.
    ///
    /// - Parameter unixTime: asked only for more than 30 days.
    /// - Returns: 0 only for `.never`; otherwise 1...2,147,483,647 (above, memcached's clock wraps and the item is dead).
    package func flagValue(unixTime: () -> Int) -> Int {
        switch self {
        case .never:
            return 0
        case .seconds(let seconds) where seconds <= Self.longestRelativeSeconds:
            return max(seconds, 1)
        case .seconds(let seconds):
            let (sum, overflow) = seconds.addingReportingOverflow(max(unixTime(), 0))
            return overflow ? Int(Int32.max) : min(sum, Int(Int32.max))
        }
    }
}
