import Memcached
import NIOCore
import Sessions
import Testing

@testable import Store

/// What a reading of a key's servers means.
struct CopyComparisonTests {
    private static let set = ReplicaLayout(redundancy: 2, servers: 3, placement: 7)

    private static func record(
        round: UInt32 = 1,
        holders: Positions = [0, 1],
        placement: UInt32 = 7,
        depth: UInt8 = 0,
        isTombstone: Bool = false
    ) -> SessionRecord {
        SessionRecord(
            identity: WriteIdentity(version: UInt64(round), writer: 1),
            accepted: Ballot(round: round, ballotClass: .fast, depth: depth, attempt: 5),
            holders: holders,
            placement: placement,
            isTombstone: isTombstone,
            created: 1,
            written: 1,
            idleSeconds: 1_440,
            absoluteDeadline: 10,
            payload: ByteBuffer(string: "x")
        )
    }

    private static func copy(_ record: SessionRecord, seconds: Int? = 1_000) -> CopyComparison.Slot {
        .copy(ReplicaCopy(accepted: record), secondsToLive: seconds)
    }

    private static func promised(_ record: SessionRecord?, round: UInt32 = 9) -> CopyComparison.Slot {
        let ballot = Ballot(round: round, ballotClass: .slow, attempt: 6)
        return .copy(ReplicaCopy(promised: ballot, record: record), secondsToLive: 1_000)
    }

    private static func compare(_ slots: CopyComparison.Slot...) -> CopyComparison {
        CopyComparison(slots, in: self.set)
    }

    @Test func aRecordThatAllOfItsHoldersHaveIsInOrder() {
        let record = Self.record()
        let comparison = Self.compare(Self.copy(record), Self.copy(record), .absent)
        #expect(comparison.findings == [.present, .present, .none])
        #expect(comparison.session == .live && comparison.isInOrder && comparison.isAtHome)
        #expect(!comparison.needsRepair(forgetful: []))
        // Wherever the holders are, and whatever was left on the way.
        let moved = Self.record(round: 4, holders: [0, 2])
        let left = Self.compare(Self.copy(moved), Self.promised(record), Self.copy(moved))
        #expect(left.findings == [.present, .leftover, .present])
        #expect(left.isInOrder && !left.isAtHome && left.needsRepair(forgetful: []))
        let stub = Self.compare(Self.copy(record), Self.copy(record), Self.promised(nil))
        #expect(stub.findings == [.present, .present, .leftover] && stub.isInOrder)
    }

    @Test func aHolderWithoutTheRecordIsMissing() {
        let record = Self.record()
        for slot in [CopyComparison.Slot.absent, Self.promised(nil)] {
            let comparison = Self.compare(Self.copy(record), slot, .absent)
            #expect(comparison.findings == [.present, .missing, .none])
            #expect(comparison.flaws.contains(.short) && comparison.needsRepair(forgetful: []))
        }
    }

    @Test func aHolderWithALowerBallotIsOlder() {
        let comparison = Self.compare(Self.copy(Self.record(round: 2)), Self.copy(Self.record(round: 1)), .absent)
        #expect(comparison.findings == [.present, .older, .none])
        #expect(comparison.flaws == [.short, .halfWritten])
    }

    @Test func whatDoesNotDecodeIsCorruptWhereverItIs() {
        let record = Self.record()
        let holder = Self.compare(Self.copy(record), .corrupt, .absent)
        #expect(holder.findings == [.present, .corrupt, .none] && holder.flaws == [.short, .corrupt])
        let beside = Self.compare(Self.copy(record), Self.copy(record), .corrupt)
        #expect(beside.findings == [.present, .present, .corrupt] && beside.flaws == .corrupt)
        let all = Self.compare(.corrupt, .absent, .absent)
        #expect(all.flaws == [.corrupt, .unreadable] && all.session == .none && !all.isInOrder)
    }

    @Test func anOpenPromiseAtAHolderIsHalfWritten() {
        let record = Self.record()
        let comparison = Self.compare(Self.copy(record), Self.promised(record), .absent)
        #expect(comparison.findings == [.present, .present, .none])
        #expect(comparison.flaws == .halfWritten && comparison.needsRepair(forgetful: []))
    }

    @Test func aServerThatDoesNotAnswerLeavesItUndecided() {
        let record = Self.record()
        let holder = Self.compare(Self.copy(record), .silent, .absent)
        #expect(holder.findings == [.present, .unknown, .none] && holder.flaws == .undecided)
        // The others can hold it without the silent one.
        #expect(holder.needsRepair(forgetful: []))
        let other = Self.compare(Self.copy(record), Self.copy(record), .silent)
        #expect(other.flaws == .undecided && !other.needsRepair(forgetful: []))
        #expect(Self.compare(.silent, .absent, .absent).flaws == .undecided)
    }

    @Test func aServerIsSparedOnlyWhereTheOthersHaveAnswered() {
        let record = Self.record()
        let both = Self.compare(Self.copy(record), .silent, .absent)
        #expect((0..<3).map { both.stake(in: $0) } == [.aCopy, .aCopy, .nothing])
        #expect(Self.compare(.absent, .absent, .absent).stake(in: 0) == .nothing)
        // The server itself may be down already.
        #expect(Self.compare(.silent, .absent, Self.promised(nil)).stake(in: 0) == .nothing)
        #expect(Self.compare(.absent, .silent, .absent).stake(in: 0) == .unknown)
        #expect(Self.compare(.silent, .silent, Self.promised(nil)).stake(in: 0) == .unknown)
    }

    @Test func tombstonesAreRecordsAndPromisesAreNone() {
        let end = Self.record(round: 3, isTombstone: true)
        let destroyed = Self.compare(Self.copy(end), Self.copy(end), Self.copy(Self.record(holders: [1, 2])))
        #expect(destroyed.session == .destroyed && destroyed.isInOrder)
        #expect(destroyed.findings == [.present, .present, .leftover])
        #expect(Self.compare(Self.copy(end), .absent, .absent).flaws == .short)
        let promises = Self.compare(Self.promised(nil), .absent, Self.promised(nil))
        #expect(promises.session == .none && promises.isInOrder && !promises.needsRepair(forgetful: []))
        #expect(Self.compare(.absent, .absent, .absent).isInOrder)
    }

    @Test func aSessionThatEndsInAMomentIsNotReported() {
        let record = Self.record()
        let comparison = Self.compare(Self.copy(record, seconds: 1), .absent, .absent)
        #expect(comparison.session == .ending && comparison.isInOrder && !comparison.needsRepair(forgetful: []))
        // The longest life of its copies counts.
        #expect(Self.compare(Self.copy(record, seconds: 1), Self.copy(record), .absent).session == .live)
    }

    @Test func degradedAndForeignPlacementsAreFlaws() {
        let degraded = Self.record(holders: [0], depth: 1)
        #expect(Self.compare(Self.copy(degraded), .absent, .absent).flaws == [.short, .degraded])
        let elsewhere = Self.record(holders: [1, 2], placement: 8)
        let comparison = Self.compare(Self.copy(elsewhere), Self.copy(elsewhere), .absent)
        // Positions of another ring do not count as these.
        #expect(comparison.findings == [.present, .present, .none])
        #expect(comparison.flaws == .otherRing && comparison.needsRepair(forgetful: []))
    }

    @Test func whatCountsOnAServerThatHasForgottenIsChosenAnew() {
        let record = Self.record()
        let comparison = Self.compare(Self.copy(record), Self.copy(record), .absent)
        #expect(comparison.needsRepair(forgetful: [1]))
        #expect(!comparison.needsRepair(forgetful: [2]))
    }
}

/// What is read again, and what is counted.
struct SuspectsTests {
    private static let set = ReplicaLayout(redundancy: 2, servers: 3, placement: 7)
    private let key: SessionKey
    private let record: SessionRecord

    init() throws {
        var random = SystemRandom()
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        self.key = keyspace.key(for: SessionID.generate(using: &random))
        self.record = Self.record(round: 1)
    }

    private static func record(round: UInt32) -> SessionRecord {
        SessionRecord(
            identity: WriteIdentity(version: UInt64(round), writer: 1),
            accepted: Ballot(round: round, ballotClass: .fast, attempt: 5),
            holders: [0, 1],
            placement: 7,
            created: 1,
            written: 1,
            idleSeconds: 1_440,
            absoluteDeadline: 10,
            payload: ByteBuffer()
        )
    }

    /// A reading that found the record on one holder alone.
    private func half(round: UInt32) -> CopyComparison {
        let record = Self.record(round: round)
        return CopyComparison(
            [.copy(ReplicaCopy(accepted: record), secondsToLive: 900), .absent, .absent],
            in: Self.set
        )
    }

    private var whole: CopyComparison {
        let copy = CopyComparison.Slot.copy(ReplicaCopy(accepted: self.record), secondsToLive: 900)
        return CopyComparison([copy, copy, .absent], in: Self.set)
    }

    @Test func whatIsInOrderIsSettledAtOnce() {
        var suspects = Suspects()
        suspects.readingBegins()
        #expect(suspects.read(self.key, self.whole) == .settled)
        #expect(suspects.keys.isEmpty)
    }

    @Test func whatLooksWrongCountsOnlyWhenItStaysTheSame() {
        var suspects = Suspects()
        suspects.readingBegins()
        #expect(suspects.read(self.key, self.half(round: 1)) == .readAgain)
        #expect(suspects.keys == [self.key])
        suspects.readingBegins()
        #expect(suspects.read(self.key, self.half(round: 1)) == .settled)
        #expect(suspects.keys.isEmpty)
    }

    @Test func aWriteThatCameToItsEndIsNoFinding() {
        var suspects = Suspects()
        suspects.readingBegins()
        #expect(suspects.read(self.key, self.half(round: 1)) == .readAgain)
        suspects.readingBegins()
        #expect(suspects.read(self.key, self.whole) == .settled)
    }

    @Test func aSessionThatChangesAllTheTimeIsLeft() {
        var suspects = Suspects()
        for reading in 1..<Suspects.maximumReadings {
            suspects.readingBegins()
            #expect(suspects.read(self.key, self.half(round: UInt32(reading))) == .readAgain)
        }
        suspects.readingBegins()
        #expect(suspects.read(self.key, self.half(round: 99)) == .changing)
        #expect(suspects.keys.isEmpty)
    }

    @Test func theReportCountsByServerAndBySession() {
        var report = VerificationReport(
            redundancy: 2,
            servers: (1...4).map { .tcp(host: "127.0.0.1", port: $0) }
        )
        report.add(self.whole, on: [3, 1, 0])
        #expect(report.isInOrder && report.complete == 1)
        report.add(self.half(round: 1), on: [0, 2, 3])
        report.addChanging()
        #expect(report.sessions == 3 && report.complete == 1 && report.short == 1 && report.changing == 1)
        #expect(report.servers.map(\.present) == [1, 1, 0, 1] && report.servers.map(\.missing) == [0, 0, 1, 0])
        #expect(!report.isInOrder)
        // A key that lies on other servers than its own alone; and one that has expired.
        let nothing = CopyComparison([.absent, .absent, .absent], in: Self.set)
        report.add(nothing, on: [0, 1, 2], isMisplaced: true)
        report.add(nothing, on: [0, 1, 2])
        #expect(report.unreachable == 1 && report.sessions == 4)
    }

    @Test func aSampleHasAsManyKeysAsThereAre() throws {
        var random = SystemRandom()
        let keyspace = try #require(SessionKeyspace(prefix: "sg:", site: "test"))
        let keys = (0..<200).map { _ in keyspace.key(for: SessionID.generate(using: &random)) }
        var system = SystemRandomNumberGenerator()
        var all = KeySample(count: 500)
        var some = KeySample(count: 20)
        for key in keys {
            all.add(key, using: &system)
            some.add(key, using: &system)
        }
        #expect(all.keys == keys)
        #expect(Set(some.keys).count == 20 && Set(some.keys).isSubset(of: keys) && some.keys != Array(keys.prefix(20)))
    }
}
