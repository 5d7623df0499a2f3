/// Judges how long a peer keeps us waiting for a request's body. Only time in which somebody waits for bytes counts:
/// a body that nobody asks for, because the backend is slow, is not the client's fault.
struct BodyPace {
    struct Limits {
        /// In sum over the whole body.
        var timeout: Duration
        /// Bytes per second; 0 is no limit.
        var minimumRate: Int
    }

    /// The rate is judged over stretches of this much waiting, so also never earlier than this.
    static let window: Duration = .seconds(5)

    private var waited: Duration = .zero
    private var windowStart: Duration = .zero
    private var windowByteCount = 0
    private var waitingSince: ContinuousClock.Instant?

    mutating func waitBegan(at now: ContinuousClock.Instant) {
        if self.waitingSince == nil { self.waitingSince = now }
    }

    mutating func received(_ byteCount: Int, at now: @autoclosure () -> ContinuousClock.Instant) {
        self.windowByteCount += byteCount
        guard let since = self.waitingSince else { return }
        self.waited += now() - since
        self.waitingSince = nil
    }

    /// - Returns: why the peer has had its chance, or nil.
    mutating func judge(at now: ContinuousClock.Instant, _ limits: Limits) -> RefusalReason? {
        let waited = self.waited + (self.waitingSince.map { now - $0 } ?? .zero)
        guard waited < limits.timeout else { return .bodyTimedOut }
        let window = waited - self.windowStart
        guard window >= Self.window else { return nil }
        let seconds = Double(window.components.seconds) + Double(window.components.attoseconds) * 1e-18
        guard Double(self.windowByteCount) >= Double(limits.minimumRate) * seconds else { return .bodyTooSlow }
        self.windowStart = waited
        self.windowByteCount = 0
        return nil
    }
}
