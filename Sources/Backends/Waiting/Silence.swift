import NIOCore

/// How long a peer has been silent, counted in turns of the timer that looks after it.
///
/// Not by the clock: where this process was kept from running, what the peer has sent meanwhile is read before the
/// next turn, and no time-out strikes because we were slow.
struct Silence {
    private var duration = TimeAmount.zero

    /// The timer has fired.
    mutating func timePassed(_ interval: TimeAmount) {
        self.duration = self.duration + interval
    }

    /// Something came, or the wait is not the peer's fault.
    mutating func end() {
        self.duration = .zero
    }

    /// Never before the limit, and at most two turns after it: the first turn may have come right after the last sign.
    func lasts(_ limit: TimeAmount) -> Bool {
        self.duration > limit
    }
}
