/// What has become of the ids that the gateway did not know.
struct AdoptionCounts: Sendable, Equatable {
    /// Taken over.
    var adopted = 0
    /// Nobody's.
    var unknown = 0
    /// Taken over before, and ended since.
    var ended = 0
    /// Nothing that could be taken over.
    var unreadable = 0
    /// Locked for too long.
    var locked = 0
    /// The old store, or the gateway's own, did not say.
    var unavailable = 0
    /// The client had asked for too many.
    var limited = 0
}
