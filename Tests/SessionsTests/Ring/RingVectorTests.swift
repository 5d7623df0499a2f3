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
        #expect(rows.count > 400)
        for row in rows {
            let ring = try #require(rings[row.list])
            let place = ring.replicaSet(for: Array(row.key.utf8), count: 1).map { ring.servers[$0].address }
            #expect(place == Array(row.servers.prefix(1)), "list \(row.list), key \(row.key)")
        }
    }

    @Test func theReplicaSetIsFlexiHashsListOfTargets() throws {
        let rings = try Self.lists().mapValues { Ring(kind: .flexihash, servers: $0) }
        var replicas = 0
        for row in try Self.rows("flexihash") {
            let ring = try #require(rings[row.list])
            let places = ring.replicaSet(for: Array(row.key.utf8), count: 3).map { ring.servers[$0].address }
            #expect(places == row.servers, "list \(row.list), key \(row.key)")
            replicas += row.servers.count
        }
        #expect(replicas > 1_000)
    }

    /// PHP's session handler asks the ring for `<key>-0`, `<key>-1`…, where plain keys are hashed as they are.
    @Test(arguments: [(RingKind.peclCRC32, "pecl-memcache-crc32-session"), (.peclFNV, "pecl-memcache-fnv-session")])
    func aSessionOfTheMemcacheExtensionIsFoundUnderItsNumberedKeys(kind: RingKind, file: String) throws {
        let rings = try Self.lists().mapValues { Ring(kind: kind, servers: $0) }
        let rows = try Self.rows(file)
        #expect(rows.count > 400)
        for row in rows {
            let ring = try #require(rings[row.list])
            var places = [String]()
            for number in 0..<100 where places.count < row.servers.count {
                let place = ring.replicaSet(for: Array("\(row.key)-\(number)".utf8), count: 1).map {
                    ring.servers[$0].address
                }
                if !places.contains(place) { places += place }
            }
            #expect(places == row.servers, "list \(row.list), key \(row.key)")
        }
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

extension Array where Element == String {
    fileprivate func contains(_ one: [String]) -> Bool { one.allSatisfy { self.contains($0) } }
}
