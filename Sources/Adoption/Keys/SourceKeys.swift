package import Memcached
package import Sessions

/// Where an application's handler keeps one session: the item, its lock, and what the servers are chosen by.
package struct SourceKeys: Sendable, Equatable {
    package let data: MemcachedKey
    package let lock: MemcachedKey
    /// What the ring is asked for.
    package let dataPlace: [UInt8]
    package let lockPlace: [UInt8]

    /// PHP's memcache extension (`mmc_prepare_key_ex`): the prefix belongs to what is hashed, blanks become `_`; the lock lies
    /// beside the data.
    ///
    /// - Returns: nil where the lock's key would be longer than 250 bytes: there the extension itself goes wrong.
    package static func memcache(_ id: SessionID, prefix: String) -> SourceKeys? {
        let key = (Array(prefix.utf8) + Array(id.text.utf8)).map { $0 <= 0x20 ? UInt8(ascii: "_") : $0 }
        guard let data = MemcachedKey(key), let lock = MemcachedKey(key + Array(".lock".utf8)) else { return nil }
        return SourceKeys(data: data, lock: lock, dataPlace: key, lockPlace: key)
    }

    /// php-memcached: the prefix is not hashed, and the lock has a server of its own.
    package static func memcached(_ id: SessionID, prefix: String) -> SourceKeys? {
        guard let data = MemcachedKey(prefix + id.text), let lock = MemcachedKey(prefix + "lock." + id.text) else {
            return nil
        }
        return SourceKeys(
            data: data,
            lock: lock,
            dataPlace: Array(id.text.utf8),
            lockPlace: Array("lock.\(id.text)".utf8)
        )
    }
}

/// PHP's `session.save_path` of its `files` handler: a directory, and how many characters of the id name directories below it.
package struct SessionDirectory: Sendable, Equatable {
    package let path: String
    package let depth: Int

    package init(path: String, depth: Int) {
        self.path = path
        self.depth = depth
    }

    /// - Returns: nil where PHP would refuse the id as too short.
    package func file(of id: SessionID) -> String? {
        guard id.text.utf8.count > self.depth else { return nil }
        let folders = id.text.prefix(self.depth).map { "\($0)/" }.joined()
        return "\(self.path)/\(folders)sess_\(id.text)"
    }
}

/// The servers of phpredis' session handler.
package struct RedisPlacement: Sendable {
    private let weights: [Int]
    private let total: Int

    /// - Parameter weights: by server, in the order of the save path; each at least 1.
    package init(weights: [Int]) {
        self.weights = weights
        self.total = weights.reduce(0, +)
    }

    /// `redis_pool_get_sock`: the id's first four bytes, little-endian, spread over the weights. The last of the save path
    /// comes first.
    package func server(of id: SessionID) -> Int {
        let number = id.text.utf8.prefix(4).reversed().reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
        var rest = Int(number) % max(self.total, 1)
        for (index, weight) in self.weights.enumerated().reversed() {
            if rest < weight { return index }
            rest -= weight
        }
        return 0
    }
}
