/// What happened in some histories.
package struct Figures: Sendable {
    package var histories = 0
    package var operations = 0
    package var messages = 0
    package var faults = 0
    package var loads = 0
    package var acknowledged = 0
    package var discarded = 0
    package var unknown = 0
    package var unavailable = 0
    package var degraded = 0
    package var restarts = 0
    package var walks = 0
    package var destroyed = 0
    package var moved = 0
    package var sessions = 0
    /// Sessions of which nothing was promised in the end.
    package var exempt = 0
    package var databaseCalls = 0
    package var durable = 0
    /// Times that all memory of a session may have been lost.
    package var doubts = 0

    package init() {}

    package mutating func add(_ other: Figures) {
        self.histories += other.histories
        self.operations += other.operations
        self.messages += other.messages
        self.faults += other.faults
        self.loads += other.loads
        self.acknowledged += other.acknowledged
        self.discarded += other.discarded
        self.unknown += other.unknown
        self.unavailable += other.unavailable
        self.degraded += other.degraded
        self.restarts += other.restarts
        self.walks += other.walks
        self.destroyed += other.destroyed
        self.moved += other.moved
        self.sessions += other.sessions
        self.exempt += other.exempt
        self.databaseCalls += other.databaseCalls
        self.durable += other.durable
        self.doubts += other.doubts
    }
}

/// What happened in one history, for whoever looks for the cause of a violation.
struct Trace {
    struct Line {
        var time: EventQueue.Time
        /// -1 for what is of none.
        var session: Int
        var text: String
    }

    private(set) var lines: [Line] = []

    mutating func add(_ time: EventQueue.Time, _ session: Int, _ text: String) {
        self.lines.append(Line(time: time, session: session, text: text))
    }

    /// The last lines that concern a session.
    func excerpt(of session: Int?, count: Int) -> [String] {
        self.lines.lazy.filter { session == nil || $0.session == session || $0.session < 0 }.suffix(count).map {
            "\($0.time) \($0.text)"
        }
    }
}
