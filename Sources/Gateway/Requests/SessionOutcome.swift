/// What became of a request's session: the value of `Session-Outcome` towards nginx.
enum SessionOutcome: String, Sendable {
    /// Read; the backend said nothing.
    case loaded
    /// Created.
    case new
    case saved
    /// The backend's blob is the loaded one, or there was none and there is none.
    case unchanged
    /// Another request saved first; this one's blob is lost, as if it had come before.
    case discarded
    case destroyed
    /// Under a new id.
    case moved
    /// A path without sessions.
    case bypassed
    /// An answer has been announced that comes after the head. What becomes of that is in the log.
    case pending
    /// From, or to, fewer servers than it should.
    case degraded
    /// Read, or saved from, an older state than somebody has seen: memcached has forgotten the last changes. Said once.
    case reverted
    /// It may or may not have been saved.
    case unknown
    /// The store could not be asked.
    case unavailable
    /// The client has asked for too many ids that nobody knows.
    case limited

    /// Whether nothing has happened that must be said where the end is still to come.
    var isOrdinary: Bool { self == .loaded || self == .unchanged || self == .saved }
}
