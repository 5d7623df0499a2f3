/// What a server says about itself (`stats`), since it was started.
package struct MemcachedStatistics: Sendable, Equatable {
    /// Seconds since the server was started (`uptime`).
    package var uptime = 0
    /// Items that it holds (`curr_items`), expired ones that were not noticed yet included.
    package var items = 0
    /// Bytes of these items (`bytes`), and what they may have together (`limit_maxbytes`, `-m`).
    package var bytes = 0
    package var byteLimit = 0
    /// Items that were still valid and had to go for others (`evictions`).
    package var evictions = 0
    /// How often it stopped accepting because all of its connections (`-c`) were taken (`listen_disabled_num`).
    package var connectionLimitHits = 0

    package init() {}
}
