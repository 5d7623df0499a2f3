import Foundation
import Testing

@testable import Sessions

/// Placements recorded from the original programs (`Vectors/*.csv`, a part of the recorded rows). With
/// `SESSION_GATEWAY_VECTORS=<folder>` in the environment all rows in that folder are checked instead; `lists.json` stays ours.
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
        for row in rows {
            let ring = try #require(rings[row.list])
            let place = ring.replicaSet(for: Array(row.key.utf8), count: 1).map { ring.servers[$0].address }
            #expect(place == Array(row.servers.prefix(1)), "list \(row.list), key \(row.key)")
        }
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
        for row in rows {
            let layout = try #require(layouts[row.list])
            var places = layout.servers(of: Array(row.key.utf8)).map { layout.ring.servers[$0].address }
            if row.list.hasPrefix("names-"), kind != .flexihash { places = Array(places.prefix(1)) }
            #expect(places == row.servers, "list \(row.list), key \(row.key)")
        }
        let copies = rows.reduce(0) { $0 + $1.servers.count }
        #expect(rows.count > 400 && copies > 1_000)
    }

    private static func rows(_ file: String) throws -> [Row] {
        let recorded = ProcessInfo.processInfo.environment["SESSION_GATEWAY_VECTORS"].map { URL(fileURLWithPath: $0) }
        let folder = recorded ?? Bundle.module.bundleURL.appendingPathComponent("Vectors")
        let text = try String(contentsOf: folder.appendingPathComponent("\(file).csv"), encoding: .utf8)
        return text.split(whereSeparator: \.isNewline).dropFirst().map { line in
            let columns = Self.columns(line)
            return Row(list: columns[0], key: columns[1], servers: columns[2...].filter { !$0.isEmpty })
        }
    }

    /// RFC 4180, without line breaks in a field.
    private static func columns(_ line: Substring) -> [String] {
        var columns = [""]
        var isQuoted = false
        var previous: Character?
        for character in line {
            switch character {
            case "\"":
                if !isQuoted, previous == "\"" { columns[columns.count - 1].append(character) }
                isQuoted.toggle()
            case "," where !isQuoted:
                columns.append("")
            default:
                columns[columns.count - 1].append(character)
            }
            previous = character
        }
        return columns
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
