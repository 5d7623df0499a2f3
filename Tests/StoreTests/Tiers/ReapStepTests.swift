import Database
import NIOCore
import Sessions
import Testing

@testable import Store

struct ReapStepTests {
    private static let tier: TierConfiguration = {
        guard let keyspace = SessionKeyspace(prefix: "sg:", site: "test") else { preconditionFailure("no keyspace") }
        var tier = TierConfiguration(keyspace: keyspace, idleLifetime: .seconds(10), absoluteLifetime: .seconds(90))
        tier.minimumReapAfter = .seconds(30)
        tier.syncInterval = .seconds(5)
        return tier
    }()

    private static func row(expires: UInt64, isTombstone: Bool = false) throws -> DueRow {
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        return DueRow(
            key: keyspace.key(for: try #require(SessionID("some-session-or-another"))),
            identity: WriteIdentity(version: 1, writer: 1),
            newest: 1,
            isTombstone: isTombstone,
            created: 1_000,
            written: 2_000,
            expires: expires,
            seen: 3_000,
            absoluteDeadline: 90_000,
            due: expires,
            saves: 3,
            size: 12
        )
    }

    private static let record = SessionRecord(
        identity: WriteIdentity(version: 9, writer: 1),
        created: 0,
        written: 0,
        idleSeconds: 10,
        absoluteDeadline: .max,
        payload: ByteBuffer()
    )

    private static func step(_ row: DueRow, _ finding: MemcachedFinding, at now: UInt64 = 50_000) -> ReapStep {
        .step(for: row, finding, at: now, Self.tier)
    }

    @Test func whatLivesInMemcachedIsNeverExpired() throws {
        let step = Self.step(try Self.row(expires: 10_000), .live(Self.record, expires: 60_000))
        #expect(step == .refresh(Self.record, expires: 60_000))
    }

    /// Where another gateway should have written it: it may live, and go on from it.
    @Test func aRowThatWasOldMayBeOldUntilMemcachedIsAskedOnceMore() throws {
        var row = try Self.row(expires: 60_000)
        let refresh = ReapStep.refresh(Self.record, expires: 90_000)
        let change = try #require(refresh.change(of: row, at: 50_000, Self.tier))
        #expect(change.row?.newest == 10 && change.row?.due == 80_000)
        #expect(ReapStep.inQuestion(row, after: change, .applied) == Self.record.identity)
        #expect(ReapStep.inQuestion(row, after: change, .refused(current: nil)) == nil)
        // Where nobody has asked since.
        row.identity = Self.record.identity
        row.newest = 10
        let again = try #require(refresh.change(of: row, at: 60_000, Self.tier))
        #expect(again.row?.newest == 9)
        #expect(ReapStep.inQuestion(row, after: again, .applied) == Self.record.identity)
        // What is old for certain, and what is not.
        for newest: UInt64 in [12, 9] {
            row.newest = newest
            #expect(ReapStep.inQuestion(row, after: again, .applied) == nil)
        }
    }

    @Test func whatTheDatabaseKnowsBetterIsLeftForALongTime() throws {
        let row = try Self.row(expires: 60_000)
        let change = try #require(ReapStep.refresh(Self.record, expires: 90_000).change(of: row, at: 50_000, Self.tier))
        let better = RowChangeResult.refused(current: WriteIdentity(version: 20, writer: 2))
        guard case .postpone(_, let identity, due: 80_000)? = ReapStep.afterwards(change, better, at: 50_000, Self.tier)
        else {
            Issue.record("it is looked at again at once")
            return
        }
        #expect(identity.version == 20)
        for result in [RowChangeResult.applied, .refused(current: nil), nil]
        where
            ReapStep.afterwards(change, result, at: 50_000, Self.tier) != nil
        {
            Issue.record("it is changed after \(String(describing: result))")
        }
    }

    @Test func whatMemcachedCannotTellStays() throws {
        #expect(Self.step(try Self.row(expires: 10_000), .unavailable) == .postpone(80_000))
    }

    @Test func whatMemcachedForgotStaysUntilItExpires() throws {
        #expect(Self.step(try Self.row(expires: 60_000), .none) == .postpone(60_000))
        #expect(Self.step(try Self.row(expires: 50_000), .none) == .delete)
        // The absolute lifetime is over, whatever the idle time says.
        #expect(Self.step(try Self.row(expires: 95_000), .none, at: 90_000) == .delete)
    }

    @Test func aTombstoneStaysAsLongAsTheSessionCouldHaveLived() throws {
        let tombstone = try Self.row(expires: 10_000, isTombstone: true)
        #expect(Self.step(tombstone, .unavailable) == .postpone(90_000))
        #expect(Self.step(tombstone, .none, at: 90_000) == .delete)
    }

    @Test func whatMemcachedHasNotHeardIsForTheGateways() throws {
        var row = try Self.row(expires: 60_000)
        row.due = SessionRow.unplaced
        #expect(Self.step(row, .none) == .leave)
        #expect(Self.step(row, .live(Self.record, expires: 60_000)) == .leave)
        if ReapStep.leave.change(of: row, at: 50_000, Self.tier) != nil { Issue.record("it is changed") }
        // Its expiry may slide yet.
        row = try Self.row(expires: 10_000)
        row.due = SessionRow.unplaced
        #expect(Self.step(row, .live(Self.record, expires: 60_000)) == .leave)
        #expect(Self.step(row, .unavailable) == .leave)
        #expect(Self.step(row, .none) == .delete)
        row = try Self.row(expires: 10_000, isTombstone: true)
        row.due = SessionRow.unplaced
        #expect(Self.step(row, .unavailable) == .leave)
        #expect(Self.step(row, .unavailable, at: 90_000) == .delete)
    }

    @Test func withoutMemcachedOtherProcessesHaveTheirTime() throws {
        #expect(Self.step(try Self.row(expires: 45_000), .alone(patience: 6_000)) == .postpone(51_000))
        #expect(Self.step(try Self.row(expires: 44_000), .alone(patience: 6_000)) == .delete)
    }

    @Test func theLogHasNoIDAndNoData() throws {
        let line = SessionLog.line(try Self.row(expires: 10_000), site: "shop")
        #expect(line == #"{"site":"shop","created":1,"last_seen":3,"saves":3,"size":12}"#)
    }
}
