package import Sessions

/// On the pool's event loop.
extension ReplicaPool: ReaperSource {
    package func finding(_ key: SessionKey) async -> ReaperFinding {
        switch await self.perform(.look, key: key, timeout: self.configuration.loadTimeout) {
        case .chosen(let loaded): .live(loaded.record, secondsToLive: loaded.secondsToLive)
        case .none: .none
        case .unavailable, .destroyed, .discarded, .unknown, .degraded, .beyondRepair: .unavailable
        }
    }
}
