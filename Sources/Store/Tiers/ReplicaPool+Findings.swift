import Sessions

/// On the pool's event loop.
extension ReplicaPool {
    /// Slides no expiry. At most 16 look-ups are under way at a time.
    /// - Returns: in the order of the keys.
    func findings(_ keys: [SessionKey], at now: SessionRecord.Timestamp) async -> [MemcachedFinding] {
        await withTaskGroup(of: (Int, MemcachedFinding).self) { group in
            var findings = [MemcachedFinding](repeating: .unavailable, count: keys.count)
            var rest = keys.indices.makeIterator()
            func ask() {
                guard let index = rest.next() else { return }
                group.addTask {
                    let outcome = await self.perform(.look, key: keys[index], timeout: self.configuration.loadTimeout)
                    return (index, MemcachedFinding(outcome, at: now))
                }
            }
            for _ in 0..<16 { ask() }
            for await (index, finding) in group {
                findings[index] = finding
                ask()
            }
            return findings
        }
    }
}
