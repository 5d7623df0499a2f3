/// What happened between a site and its database since the gateway started, over all event loops.
package struct TierCounts: Sendable, Equatable {
    package var reads = 0
    package var writes = 0
    /// Loads that memcached, or this process's memory, answered.
    package var avoidedReads = 0
    /// Saves and expiries that were not written by themselves.
    package var avoidedWrites = 0
    package var failures = 0
    package var overflows = 0
    package var restored = 0
    package var reverted = 0
    package var limited = 0
    package var servedAlone = 0

    package init() {}
}
