import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Store

struct RepairPlanTests {
    private static let complete = ServerCondition.complete(ConnectionIdentity(number: 1))
    private static let incomplete = ServerCondition.incomplete(ConnectionIdentity(number: 2))

    @Test func whatHasForgottenIsFilledFromTheOthers() {
        let plan = RepairPlan(conditions: [Self.complete, Self.incomplete, Self.complete], redundancy: 2)
        #expect(plan.filled == [1: [0, 2]] && plan.accepted.isEmpty && plan.waiting.isEmpty)
        #expect(RepairPlan(conditions: [Self.complete, Self.complete], redundancy: 2).filled.isEmpty)
    }

    @Test func whereAllHaveForgottenTheFirstIsTakenAsItIs() {
        let new = RepairPlan(conditions: [Self.incomplete, Self.incomplete, Self.incomplete], redundancy: 2)
        #expect(new.filled == [0: []] && new.accepted == [0] && new.waiting == [1, 2])
        let next = RepairPlan(conditions: [Self.complete, Self.incomplete, Self.incomplete], redundancy: 2)
        #expect(next.filled == [1: [0]] && next.accepted == [1] && next.waiting == [2])
    }

    @Test func whoIsDownMayComeBackWithWhatIsNeeded() {
        let plan = RepairPlan(conditions: [Self.incomplete, .down, Self.complete], redundancy: 2)
        #expect(plan.filled.isEmpty && plan.waiting == [0])
        let five = RepairPlan(
            conditions: [Self.incomplete, .down, Self.complete, Self.complete, Self.complete],
            redundancy: 3
        )
        #expect(five.filled == [0: [2, 3, 4]])
    }

    @Test func thePaceIsKeptOverASecond() {
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let end = now + .seconds(1)
        var pace = RepairPace(rate: 1_000, now: now)
        var begun = 0
        while now < end {
            if let later = pace.begin(now: now) {
                // A timer that is late.
                now = later + .milliseconds(7)
            } else {
                begun += 1
            }
        }
        #expect((990...1_010).contains(begun))
        // What a long pause has cost is not made up for at once.
        now = now + .seconds(10)
        var burst = 0
        while pace.begin(now: now) == nil { burst += 1 }
        #expect(burst <= 25)
        var unlimited = RepairPace(rate: nil, now: now)
        #expect(unlimited.begin(now: now) == nil && unlimited.begin(now: now) == nil)
    }

    @Test func aSecondWalkCountsEachSessionOnce() {
        var report = RepairReport(servers: [])
        var walk = RepairReport(servers: [])
        (walk.inOrder, walk.repaired, walk.failed) = (5, 3, 2)
        report.add(walk)
        #expect(report.inOrder == 5 && report.repaired == 3 && report.failed == 2)
        (walk.inOrder, walk.repaired, walk.failed) = (8, 2, 0)
        report.add(walk)
        #expect(report.inOrder == 5 && report.repaired == 5 && report.sessions == 10 && report.isInOrder)
    }
}

/// A walk now, over real memcacheds.
@Suite(.timeLimit(.minutes(2)))
struct RepairerTests {
    @Test func aServerThatIsEmptyIsRefilledAndMarked() async throws {
        try await StoreFixture.with(walks: false) { fixture in
            let keys = await fixture.fill(60)
            #expect(await fixture.destroy(keys[0].key) == .destroyed)
            try await fixture.servers[1].restart()
            try await Eventually.holds("the server to be connected") {
                await fixture.onLoop { $0.pool.conditions[1].isIncomplete }
            }
            let before = await fixture.verify()
            #expect(before.servers.map(\.condition) == [.complete, .incomplete, .complete])
            #expect(before.servers[1].missing > 0 && before.servers[1].present == 0 && before.short > 0)

            let report = await fixture.repair(maximumKeys: 40)
            #expect(report.servers.map(\.condition) == [.complete, .refilled, .complete])
            #expect(report.isInOrder && report.sessions == 60 && report.repaired > 0)
            let after = await fixture.verify()
            #expect(after.isInOrder && after.sessions == 60 && after.destroyed == 1)
            for (key, servers) in keys where servers.prefix(2).contains(1) {
                #expect(try fixture.copies(key).contains(1))
            }
            // Nothing is left to be done, and nothing is written.
            let writes = try fixture.servers.map { try $0.statistics()["cmd_set"] }
            let again = await fixture.repair()
            #expect(again.inOrder == 60 && again.repaired == 0)
            #expect(try fixture.servers.map { try $0.statistics()["cmd_set"] } == writes)
            fixture.servers[0].kill()
            #expect(await fixture.text(keys[7].key) == "session 7")
        }
    }

    @Test func missingOlderAndCorruptCopiesAreMadeGood() async throws {
        try await StoreFixture.with(walks: false) { fixture in
            let keys = await fixture.fill(12)
            let (missing, older, corrupt) = (keys[0], keys[1], keys[2])
            _ = try fixture.servers[missing.servers[1]].command("md \(missing.key.text)")
            let old = try RawItem.value(of: older.key.text, on: fixture.servers[older.servers[0]])
            let session = try await fixture.session(older.key)
            #expect(await fixture.save(session, older.key, "newer").isSaved)
            try RawItem.set(older.key.text, old, on: fixture.servers[older.servers[0]])
            try RawItem.set(corrupt.key.text, Array("rubbish".utf8), on: fixture.servers[corrupt.servers[0]])
            let lost = keys[3]
            for server in lost.servers.prefix(2) {
                try RawItem.set(lost.key.text, Array("rubbish".utf8), on: fixture.servers[server])
            }
            let report = await fixture.repair()
            #expect(!report.isInOrder && report.repaired == 3 && report.inOrder == 8 && report.unreadable == 1)
            for server in lost.servers { _ = try fixture.servers[server].command("md \(lost.key.text)") }
            let after = await fixture.verify()
            #expect(after.isInOrder && after.complete == 11)
            #expect(await fixture.text(older.key) == "newer")
            #expect(await fixture.text(corrupt.key) == "session 2")
        }
    }

    @Test func noLifeIsProlonged() async throws {
        try await StoreFixture.with(walks: false) { fixture in
            let keys = await fixture.fill(4)
            for (key, servers) in keys {
                for server in servers.prefix(2) {
                    let answer = try fixture.servers[server].command("mg \(key.text) T100")
                    #expect(answer.hasPrefix("HD"))
                }
                _ = try fixture.servers[servers[1]].command("md \(key.text)")
            }
            #expect(await fixture.repair().repaired == 4)
            for (key, servers) in keys {
                for server in servers.prefix(2) {
                    let answer = try fixture.servers[server].command("mg \(key.text) t")
                    let words = answer.split { $0.isWhitespace }
                    let seconds = words.last.flatMap { Int($0.dropFirst()) }
                    #expect((seconds ?? .max) <= 100)
                }
            }
        }
    }

    @Test func aServerThatIsDownIsGotAlongWithout() async throws {
        try await StoreFixture.with(walks: false) { fixture in
            let keys = await fixture.fill(12)
            fixture.servers[2].kill()
            let report = await fixture.repair()
            #expect(report.servers.map(\.condition) == [.complete, .complete, .unreachable])
            #expect(report.hasUnreachableServers && report.failed == 0 && report.sessions == 12)
            for (key, _) in keys {
                for server in fixture.servers.prefix(2) {
                    let answer = try server.command("mg \(key.text) s")
                    #expect(answer.hasPrefix("HD"))
                }
            }
        }
    }

    @Test func theRateIsKept() async throws {
        try await StoreFixture.with(walks: false) { fixture in
            _ = await fixture.fill(40)
            let start = ContinuousClock.now
            #expect(await fixture.repair(rate: 40).inOrder == 40)
            let time = ContinuousClock.now - start
            #expect(time > .milliseconds(800))
        }
    }
}
