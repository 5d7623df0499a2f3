/// When a database that could not be reached is tried again: after a delay that doubles with every failure. Until then
/// nobody waits for it. A value: time and chance come from outside.
package struct ReconnectBackoff: Sendable {
    package static let shortest: Duration = .milliseconds(100)
    /// What waits is to be in the database soon after it is back.
    package static let longest: Duration = .milliseconds(500)
    /// For how long the one who tries keeps the others from it, if he does not report back.
    private static let permission: Duration = .seconds(5)

    private var failures = 0
    private var notBefore: ContinuousClock.Instant?

    package init() {}

    /// Whether the last attempt failed.
    package var isDown: Bool { self.failures > 0 }

    /// Whether `mayTry` would say yes.
    package func isTimeToTry(at now: ContinuousClock.Instant) -> Bool {
        self.notBefore.map { now >= $0 } ?? true
    }

    /// Whether a connection may be tried. One caller at a time gets the permission while the database is down.
    package mutating func mayTry(at now: ContinuousClock.Instant) -> Bool {
        guard let notBefore else { return true }
        guard now >= notBefore else { return false }
        // Who is told yes reports back; the others go on waiting meanwhile.
        self.notBefore = now + Self.permission
        return true
    }

    /// - Parameter random: 0 to 1; the delay is between half of its length and all of it.
    /// - Returns: whether it was up before.
    @discardableResult
    package mutating func failed(at now: ContinuousClock.Instant, random: Double) -> Bool {
        let delay = min(Self.shortest * (1 << min(self.failures, 7)), Self.longest)
        self.failures += 1
        self.notBefore = now + delay * (0.5 + random / 2)
        return self.failures == 1
    }

    /// - Returns: whether it was down before.
    @discardableResult
    package mutating func succeeded() -> Bool {
        let wasDown = self.isDown
        self.failures = 0
        self.notBefore = nil
        return wasDown
    }
}
