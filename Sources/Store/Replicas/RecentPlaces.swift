import Sessions

/// Where the keys lie that were looked up last: every request looks its session's up several times, and each time it takes
/// a digest.
///
/// Of 256 keys at most, by their hash: one takes the place of another. Good for one placement of the pool.
struct RecentPlaces {
    private struct Entry {
        let key: SessionKey
        let place: ReplicaPool.Place
    }

    private static let count = 256

    private var entries = [Entry?](repeating: nil, count: Self.count)

    func place(of key: SessionKey) -> ReplicaPool.Place? {
        guard let entry = self.entries[Self.index(key)], entry.key.hash == key.hash, entry.key == key else {
            return nil
        }
        return entry.place
    }

    mutating func remember(_ place: ReplicaPool.Place, of key: SessionKey) {
        self.entries[Self.index(key)] = Entry(key: key, place: place)
    }

    private static func index(_ key: SessionKey) -> Int { Int(key.hash % UInt64(Self.count)) }
}

extension ReplicaPool {
    /// Whether any server of the place is up, as far as one can tell at once.
    func mayReach(_ place: Place) -> Bool {
        place.servers.contains { $0.isAvailable }
    }
}
