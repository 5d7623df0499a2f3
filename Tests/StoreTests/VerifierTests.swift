import GatewayTesting
import Logging
import Sessions
import Testing

@testable import Store

/// Verification over real memcacheds whose items are changed behind the store's back.
@Suite(.timeLimit(.minutes(2)))
struct VerifierTests {
    @Test func aHealthyPoolIsComplete() async throws {
        try await StoreFixture.with { fixture in
            let keys = await fixture.fill(60)
            #expect(await fixture.destroy(keys[0].key) == .destroyed)
            let before = try fixture.servers.map { try $0.statistics()["cmd_set"] }
            let touches = try fixture.servers.map { try $0.statistics()["cmd_touch"] }
            let report = await fixture.verify()
            #expect(report.isInOrder && report.sessions == 60 && report.complete == 60 && report.destroyed == 1)
            #expect(report.servers.reduce(0) { $0 + $1.present } == 120)
            // Nothing was written, and no life prolonged.
            #expect(try fixture.servers.map { try $0.statistics()["cmd_set"] } == before)
            #expect(try fixture.servers.map { try $0.statistics()["cmd_touch"] } == touches)
            // In parts, as where there are many.
            let parts = await fixture.verify(maximumKeys: 30)
            #expect(parts == report)
            let sample = await fixture.verify(sample: 10)
            #expect(sample.isInOrder && sample.sessions == 10)
        }
    }

    @Test func missingOlderAndCorruptCopiesAreCountedWhereTheyAre() async throws {
        try await StoreFixture.with { fixture in
            let keys = await fixture.fill(12)
            let (missing, older, corrupt) = (keys[0], keys[1], keys[2])
            _ = try fixture.servers[missing.servers[1]].command("md \(missing.key.text)")
            let old = try RawItem.value(of: older.key.text, on: fixture.servers[older.servers[0]])
            let session = try await fixture.session(older.key)
            #expect(await fixture.save(session, older.key, "newer").isSaved)
            try RawItem.set(older.key.text, old, on: fixture.servers[older.servers[0]])
            try RawItem.set(corrupt.key.text, Array("rubbish".utf8), on: fixture.servers[corrupt.servers[0]])
            let report = await fixture.verify()
            #expect(report.sessions == 12 && report.complete == 9 && report.short == 3 && report.halfWritten == 1)
            for server in 0..<3 {
                #expect(report.servers[server].missing == (missing.servers[1] == server ? 1 : 0))
                #expect(report.servers[server].older == (older.servers[0] == server ? 1 : 0))
                #expect(report.servers[server].corrupt == (corrupt.servers[0] == server ? 1 : 0))
            }
        }
    }

    @Test func aServerThatIsDownIsToldFromMissingCopies() async throws {
        try await StoreFixture.with { fixture in
            _ = await fixture.fill(12)
            fixture.servers[1].kill()
            let report = await fixture.verify()
            #expect(report.servers.map(\.condition) == [.complete, .unreachable, .complete])
            #expect(report.servers.allSatisfy { $0.missing == 0 } && report.undecided > 0 && !report.isInOrder)
        }
    }

    @Test func sessionsInUseAreNotReported() async throws {
        try await StoreFixture.with { fixture in
            let keys = await fixture.fill(20)
            let report = await withTaskGroup(of: Void.self) { group in
                for (key, _) in keys {
                    group.addTask {
                        while !Task.isCancelled {
                            if case .live(let session) = await fixture.load(key) {
                                _ = await fixture.save(session, key, "again")
                            }
                        }
                    }
                }
                let report = await fixture.verify()
                group.cancelAll()
                return report
            }
            #expect(report.isInOrder && report.sessions == 20 && report.short == 0 && report.halfWritten == 0)
        }
    }
}

extension StoreFixture {
    func verify(sample: Int? = nil, maximumKeys: Int = KeyListing.maximumKeys) async -> VerificationReport {
        await self.onLoop { store in
            let logger = Logger(label: "verify") { _ in SwiftLogNoOpLogHandler() }
            return await Verifier(pool: store.pool, logger: logger, maximumKeys: maximumKeys).run(
                sample: sample,
                fault: { _ in },
                progress: { _, _ in }
            )
        }
    }

    /// Sessions with their servers in ring order.
    func fill(_ count: Int) async -> [(key: SessionKey, servers: [Int])] {
        var keys: [(key: SessionKey, servers: [Int])] = []
        for number in 0..<count {
            let fresh = await self.freshKey()
            #expect(await self.create(fresh.key, "session \(number)").isSaved)
            keys.append(fresh)
        }
        return keys
    }
}

/// An item's bytes, behind the store's back.
enum RawItem {
    static func value(of key: String, on server: MemcachedProcess) throws -> [UInt8] {
        let socket = try ClientSocket(server.address, timeout: .seconds(10))
        try socket.send("mg \(key) v\r\n")
        var answer: [UInt8] = []
        while true {
            let piece = try socket.receive()
            guard !piece.isEmpty else { throw TestingError("memcached closed the connection") }
            answer += piece
            guard let line = answer.firstRange(of: [13, 10]) else { continue }
            let words = String(decoding: answer[..<line.lowerBound], as: UTF8.self).split(separator: " ")
            guard words.first == "VA", words.count > 1, let length = Int(words[1]) else {
                throw TestingError("memcached has no such item")
            }
            if answer.count >= line.upperBound + length + 2 {
                return Array(answer[line.upperBound..<line.upperBound + length])
            }
        }
    }

    static func set(_ key: String, _ value: [UInt8], on server: MemcachedProcess) throws {
        let socket = try ClientSocket(server.address, timeout: .seconds(10))
        try socket.send(Array("ms \(key) \(value.count) T1440\r\n".utf8) + value + [13, 10])
        let answer = String(decoding: try socket.receive(), as: UTF8.self)
        guard answer.hasPrefix("HD") else { throw TestingError("memcached: \(answer)") }
    }
}
