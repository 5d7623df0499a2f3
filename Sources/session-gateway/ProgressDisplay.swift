import Glibc

/// Where a command that takes long stands, on standard error: a bar on a terminal, elsewhere a line every few seconds.
final class ProgressDisplay {
    private let verb: String
    private let isTerminal: Bool
    private let started = ContinuousClock.now
    private var shown: ContinuousClock.Instant?
    private static let barWidth = 30

    init(verb: String) {
        self.verb = verb
        self.isTerminal = isatty(STDERR_FILENO) == 1
    }

    /// - Parameter share: of the whole, 0 to 1.
    func show(sessions: Int, share: Double) {
        let now = ContinuousClock.now
        let pause: Duration = self.isTerminal ? .milliseconds(200) : .seconds(5)
        guard now - (self.shown ?? self.started) >= pause else { return }
        self.shown = now
        let share = min(max(share, 0), 1)
        let percentage = "\(Int(share * 100)) %"
        let rate = Double(sessions) / ((now - self.started) / .seconds(1))
        let text = "\(self.verb) \(sessions) sessions, \(Int(rate))/s"
        guard self.isTerminal else { return StandardError.write(["\(percentage)  \(text)"]) }
        let filled = Int(share * Double(Self.barWidth))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.barWidth - filled)
        self.write("\r[\(bar)] \(percentage)  \(text)\u{1B}[K")
    }

    /// Leaves the terminal's line to what follows.
    func end() {
        if self.isTerminal, self.shown != nil { self.write("\r\u{1B}[K") }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
