/// The positions of all servers on a ring, as each original computes them.
enum RingPoints {
    struct Point {
        let position: UInt32
        let server: UInt16
    }

    /// In ascending order of position; where positions are equal, in the order in which the original would find them.
    static func points(of servers: [RingServer], kind: RingKind) -> [Point] {
        switch kind {
        case .ketamaWeighted: Self.ketamaWeighted(servers)
        case .ketama: Self.ketama(servers)
        case .peclCRC32: Self.pecl(servers, .crc32)
        case .peclFNV: Self.pecl(servers, .fnv1a)
        case .flexihash: Self.flexihash(servers)
        }
    }

    private static func sorted(_ points: [Point]) -> [Point] {
        points.sorted { ($0.position, $0.server) < ($1.position, $1.server) }
    }

    // MARK: - libmemcached (`update_continuum`, `ketama_server_hash`)

    /// 100 positions per server, whatever its weight.
    private static func ketama(_ servers: [RingServer]) -> [Point] {
        var points = [Point]()
        points.reserveCapacity(servers.count * 100)
        for (index, server) in servers.enumerated() {
            let name = Self.libmemcachedName(server)
            for number in 0..<100 {
                points.append(Point(position: RingHash.oneAtATime("\(name)-\(number)"), server: UInt16(index)))
            }
        }
        return Self.sorted(points)
    }

    /// About 160 positions per server in the mean, four of each MD5, the share by weight rounded in 32-bit floats as the original does.
    private static func ketamaWeighted(_ servers: [RingServer]) -> [Point] {
        let total = Float(servers.reduce(0) { $0 + $1.weight })
        let live = Float(servers.count)
        var points = [Point]()
        points.reserveCapacity(servers.count * 160)
        for (index, server) in servers.enumerated() {
            let share = Float(server.weight) / total
            let strings = Int((share * 160 / 4 * live + 0.0000000001).rounded(.down))
            let name = Self.libmemcachedName(server)
            for number in 0..<strings {
                var text = "\(name)-\(number)"
                let words = text.withUTF8 { MD5.words(UnsafeRawBufferPointer($0)) }
                for word in 0..<4 {
                    points.append(Point(position: words[word], server: UInt16(index)))
                }
            }
        }
        return Self.sorted(points)
    }

    /// libmemcached leaves the default port out, which the original libketama does not.
    private static func libmemcachedName(_ server: RingServer) -> String {
        let host = server.socketPath ?? server.host
        return server.port == 11_211 ? host : "\(host):\(server.port)"
    }

    // MARK: - PHP's memcache extension (`mmc_consistent_add_server`)

    /// 160 positions per unit of weight.
    private static func pecl(_ servers: [RingServer], _ hash: RingHash) -> [Point] {
        var points = [Point]()
        points.reserveCapacity(servers.count * 160)
        for (index, server) in servers.enumerated() {
            let host = server.socketPath.map { "unix://\($0)" } ?? server.host
            for number in 0..<(server.weight * 160) {
                points.append(Point(position: hash("\(host):\(server.port)-\(number)"), server: UInt16(index)))
            }
        }
        return Self.sorted(points)
    }

    // MARK: - FlexiHash (`addTarget`)

    /// 64 positions per unit of weight; the later of two servers keeps a position that both have.
    private static func flexihash(_ servers: [RingServer]) -> [Point] {
        var owners = [UInt32: UInt16]()
        for (index, server) in servers.enumerated() {
            let target = server.port == 0 ? server.host : "\(server.host):\(server.port)"
            for number in 0..<(server.weight * 64) {
                owners[RingHash.crc32("\(target)\(number)")] = UInt16(index)
            }
        }
        return Self.sorted(owners.map { Point(position: $0.key, server: $0.value) })
    }
}
