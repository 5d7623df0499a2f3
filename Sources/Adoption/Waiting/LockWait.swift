package import NIOCore
package import Sessions

/// The pauses between looks at a session that is locked: 5 ms, doubling up to 200 ms, within `limit` from the first look.
package struct LockWait: Sendable {
    static let shortest: Duration = .milliseconds(5)
    static let longest: Duration = .milliseconds(200)

    private let limit: Duration
    private var next = Self.shortest

    package init(limit: Duration) {
        self.limit = limit
    }

    /// - Parameter waited: since the first look.
    /// - Returns: nil where it has taken too long.
    package mutating func pause(waited: Duration) -> Duration? {
        guard waited < self.limit else { return nil }
        defer { self.next = min(self.next * 2, Self.longest) }
        return min(self.next, self.limit - waited)
    }
}

extension SessionSource {
    /// Looks until the session is free, or for `limit`.
    package func read(_ id: SessionID, lockTimeout limit: Duration, on eventLoop: any EventLoop) async -> SourceFinding
    {
        let start = ContinuousClock.now
        var wait = LockWait(limit: limit)
        while true {
            let finding = await self.look(for: id, on: eventLoop)
            guard finding == .locked, let pause = wait.pause(waited: .now - start) else { return finding }
            do {
                try await Task.sleep(for: pause)
            } catch {
                // The visitor is gone.
                return .locked
            }
        }
    }
}
