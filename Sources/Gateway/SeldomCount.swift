/// For what may happen often and is to be said seldom: at once the first time, then with its number at most once a minute.
/// A value: time comes from outside.
struct SeldomCount: Sendable {
    static let interval: Duration = .seconds(60)

    private var count = 0
    private var silentUntil: ContinuousClock.Instant?

    /// - Returns: where it is time to say so, how often it has happened since the last time.
    mutating func happened(at now: ContinuousClock.Instant) -> Int? {
        self.count += 1
        if let silentUntil, now < silentUntil { return nil }
        self.silentUntil = now + Self.interval
        defer { self.count = 0 }
        return self.count
    }
}
