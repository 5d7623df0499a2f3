/// How many servers a key has, and how many of them hold it.
package struct ReplicaLayout: Sendable, Hashable {
    /// The most copies a site may ask for.
    package static let maximumRedundancy = 8

    /// r: a record is stored on this many servers.
    package let redundancy: Int
    /// n: the servers it may be stored on, 2r − 1 or the whole pool where that is smaller.
    package let count: Int
    /// Names the servers and their order: a record tells by it whether its `holders` mean these positions.
    package let placement: UInt32

    /// - Parameter servers: the size of the pool, at least 1. Of a smaller pool than `redundancy` every server holds
    ///   every record.
    package init(redundancy: Int, servers: Int, placement: UInt32) {
        self.redundancy = max(1, min(redundancy, servers, Self.maximumRedundancy))
        self.count = min(2 * self.redundancy - 1, max(1, servers))
        self.placement = placement
    }

    /// q = n − r + 1: any q servers meet the r holders of every record.
    package var quorum: Int { self.count - self.redundancy + 1 }

    package var all: Positions { .first(self.count) }
}
