package import Memcached

/// What a server says about itself and an operator should know.
package enum ServerDecline: Sendable, Equatable {
    /// So many sessions, or whatever else it keeps, had to go before their time since it was asked last: it has too little
    /// memory, and each is a copy less.
    case evictions(Int)
    /// So often it took no connection, since all that it allows (`-c`) were there.
    case connectionLimitHits(Int)

    /// What has become worse.
    /// - Parameter earlier: the answer before this one; nil for the first. A server that was started in between counts
    ///   from 0, as it does itself; of a first answer it is not known when it happened.
    package static func between(_ earlier: MemcachedStatistics?, _ now: MemcachedStatistics) -> [ServerDecline] {
        guard let earlier else { return [] }
        let before = now.uptime < earlier.uptime ? MemcachedStatistics() : earlier
        var declines: [ServerDecline] = []
        if now.evictions > before.evictions { declines.append(.evictions(now.evictions - before.evictions)) }
        if now.connectionLimitHits > before.connectionLimitHits {
            declines.append(.connectionLimitHits(now.connectionLimitHits - before.connectionLimitHits))
        }
        return declines
    }
}
