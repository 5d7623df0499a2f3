import Foundation
import Testing

@testable import Sessions

/// Placements recorded from the original programs (`Vectors/*.csv`), of the lists of servers in `lists.json`.
@Suite struct RingVectorTests {
    struct Row {
        let list: String
        let key: String
        /// As `host:port`, in the order in which the original adds copies; without the empty ones.
        let servers: [String]
    }

    @Test(arguments: [
        (RingKind.ketamaWeighted, "libmemcached-ketama-weighted"),
        (.ketama, "libmemcached-ketama"),
        (.peclCRC32, "pecl-memcache-crc32"),
        (.peclFNV, "pecl-memcache-fnv"),
        (.flexihash, "flexihash"),
    ]) func everyKeyIsOnTheServerWhereTheOriginalPutsIt(kind: RingKind, file: String) throws {
        let rows = try Self.rows(file)
        let rings = try Self.lists().mapValues { Ring(kind: kind, servers: $0) }
        #expect(Set(rows.map(\.list)) == Set(rings.keys))
        let misplaced = rows.filter { row in
            guard let ring = rings[row.list] else { return true }
            let place = ring.replicaSet(for: Array(row.key.utf8), count: 1).map { ring.servers[$0].address }
            return place != Array(row.servers.prefix(1))
        }
        #expect(misplaced.isEmpty)
    }

    /// Whole rows: as many copies as the original makes, in its order. Of lists of names only the first server was recorded,
    /// except for FlexiHash, which connects to nothing.
    @Test(arguments: [
        (RingPlacement.phpMemcached, RingKind.ketamaWeighted, "libmemcached-ketama-weighted"),
        (.phpMemcached, .ketama, "libmemcached-ketama"),
        (.memcache, .peclCRC32, "pecl-memcache-crc32"),
        (.memcache, .peclFNV, "pecl-memcache-fnv"),
        (.memcacheSession, .peclCRC32, "pecl-memcache-crc32-session"),
        (.memcacheSession, .peclFNV, "pecl-memcache-fnv-session"),
        (.flexihash, .flexihash, "flexihash"),
        (.sessionGateway, .flexihash, "flexihash"),
    ]) func theCopiesOfEveryKeyAreWhereTheOriginalPutsThem(
        placement: RingPlacement,
        kind: RingKind,
        file: String
    ) throws {
        let rows = try Self.rows(file)
        let layouts = try Self.lists().mapValues { servers in
            try #require(RingLayout(ring: Ring(kind: kind, servers: servers), placement: placement, count: 3))
        }
        let lists = layouts.keys.filter { placement != .memcacheSession || !$0.hasPrefix("names-") }
        #expect(Set(rows.map(\.list)) == Set(lists))
        let misplaced = rows.filter { row in
            guard let layout = layouts[row.list] else { return true }
            var places = layout.servers(of: Array(row.key.utf8)).map { layout.ring.servers[$0].address }
            if row.list.hasPrefix("names-"), kind != .flexihash { places = Array(places.prefix(1)) }
            return places != row.servers
        }
        #expect(misplaced.isEmpty)
        #expect(rows.count >= 6_000)
    }

    private static func rows(_ file: String) throws -> [Row] {
        let vectors = Bundle.module.bundleURL.appendingPathComponent("Vectors/\(file).csv")
        return try Data(contentsOf: vectors).split(separator: UInt8(ascii: "\n")).dropFirst().map { line in
            let columns = Self.columns(line)
            return Row(list: columns[0], key: columns[1], servers: columns[2...].filter { !$0.isEmpty })
        }
    }

    /// RFC 4180, without line breaks in a field.
    private static func columns(_ line: Data) -> [String] {
        var columns: [[UInt8]] = [[]]
        var isQuoted = false
        var previous: UInt8 = 0
        for byte in line {
            switch byte {
            case UInt8(ascii: "\""):
                if !isQuoted, previous == UInt8(ascii: "\"") { columns[columns.count - 1].append(byte) }
                isQuoted.toggle()
            case UInt8(ascii: ",") where !isQuoted:
                columns.append([])
            default:
                columns[columns.count - 1].append(byte)
            }
            previous = byte
        }
        return columns.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func lists() throws -> [String: [RingServer]] {
        struct Server: Decodable {
            let host: String
            let port: Int
            let weight: Int
        }
        let file = Bundle.module.bundleURL.appendingPathComponent("Vectors/lists.json")
        return try JSONDecoder().decode([String: [Server]].self, from: Data(contentsOf: file)).mapValues { servers in
            servers.map { RingServer(host: $0.host, port: $0.port, weight: $0.weight) }
        }
    }
}
