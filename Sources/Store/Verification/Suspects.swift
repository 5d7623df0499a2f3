package import Sessions

/// Which sessions must be read again before anything is said of them. A value: no I/O.
///
/// What one reading finds may be a write under way: the servers are not read at the same moment. It is true only if a
/// second reading finds exactly the same after a pause in which every operation under way has ended.
package struct Suspects: Sendable {
    /// The pause before each reading but the first; operations that are older do nothing more.
    package static let pause: Duration = StoreConfiguration.defaultLongestOperation
    /// Readings after which a session is left that changes all the time.
    package static let maximumReadings = 5

    /// What to do about a session that was read.
    package enum Decision: Sendable, Equatable {
        /// It is as it is.
        case settled
        case readAgain
        /// It was different in each reading, and so is in use: nothing can be said.
        case changing
    }

    private var evidence: [SessionKey: Int] = [:]
    /// How often the sessions of this round have been read.
    private var readings = 0

    package init() {}

    /// A reading of all of `keys` begins: at first of all sessions, then of those that are to be read again.
    package mutating func readingBegins() {
        self.readings += 1
    }

    package mutating func read(_ key: SessionKey, _ comparison: CopyComparison) -> Decision {
        let before = self.evidence.removeValue(forKey: key)
        if comparison.isInOrder || before == comparison.evidence { return .settled }
        guard self.readings < Self.maximumReadings else { return .changing }
        self.evidence[key] = comparison.evidence
        return .readAgain
    }

    /// To be read again after the pause; none: this round is over.
    package var keys: [SessionKey] { Array(self.evidence.keys) }
}
