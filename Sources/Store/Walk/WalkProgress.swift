/// How far a walk is. A value: no I/O.
package struct WalkProgress: Sendable, Equatable {
    /// Sessions that belong on the walked server and have had their turn.
    package var sessions = 0
    /// Of them, those that no server can give back.
    package var lost = 0
    /// Servers whose keys have had their turn, and the share of the present one's.
    package var sources = 0.0

    package init() {}

    /// As it stands in the lease: `sessions 1200 lost 0 sources 1.25`.
    package var text: String {
        "sessions \(self.sessions) lost \(self.lost) sources \(self.hundredths / 100).\(self.digits)"
    }

    private var hundredths: Int { Int(self.sources * 100) }
    private var digits: String { "\(self.hundredths / 10 % 10)\(self.hundredths % 10)" }

    /// - Returns: nil for a text that is none of a lease.
    package init?(_ text: some StringProtocol) {
        let words = text.split(separator: " ")
        guard words.count == 6, words[0] == "sessions", words[2] == "lost", words[4] == "sources",
            let sessions = Int(words[1]), let lost = Int(words[3]), let sources = Double(words[5])
        else { return nil }
        self.sessions = sessions
        self.lost = lost
        self.sources = sources
    }
}
