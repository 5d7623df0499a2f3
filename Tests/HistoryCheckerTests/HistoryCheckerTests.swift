import HistoryChecker
import Testing

/// Every promise, broken.
struct HistoryCheckerTests {
    private var checker = HistoryChecker()
    private let session: HistoryChecker.SessionNumber

    init() {
        self.session = self.checker.newSession()
    }

    private var broken: [Promise] { self.checker.violations.map(\.promise) }

    @discardableResult
    private mutating func write(
        from base: HistoryChecker.WriteNumber? = nil,
        _ verdict: HistoryChecker.Verdict = .acknowledged
    ) -> HistoryChecker.WriteNumber {
        let number = self.checker.writeBegan(self.session, base: base)
        self.checker.writeEnded(number, verdict)
        return number
    }

    private mutating func read(_ number: HistoryChecker.WriteNumber?) {
        let beginning = self.checker.readBegan(self.session)
        if let number {
            self.checker.readEnded(beginning, number)
        } else {
            self.checker.readEndedWithNothing(beginning)
        }
    }

    @Test mutating func anOrdinaryLifeBreaksNothing() {
        let first = self.write()
        let second = self.write(from: first)
        self.write(from: first, .discarded)
        self.read(second)
        let unknown = self.write(from: second, .unknown)
        self.read(second)
        self.read(unknown)
        self.write(from: unknown)
        self.checker.destructionBegan(self.session)
        self.checker.destructionWasAcknowledged(self.session)
        self.read(nil)
        #expect(self.broken.isEmpty)
    }

    @Test mutating func twoSavesFromOneBase() {
        let first = self.write()
        self.write(from: first)
        self.write(from: first)
        #expect(self.broken == [.oneSaveForEachBase])
    }

    @Test mutating func somethingThatNobodyWrote() {
        let other = self.checker.newSession()
        let foreign = self.checker.writeBegan(other, base: nil)
        self.read(foreign)
        self.read(.init(index: 99))
        self.checker.readWasCorrupt(self.checker.readBegan(self.session))
        #expect(self.broken == Array(repeating: .onlyWhatWasWrittenIsRead, count: 3))
    }

    @Test mutating func aReadBehindAnAcknowledgedSave() {
        let first = self.write()
        self.write(from: first)
        self.read(first)
        #expect(self.broken == [.readsAreNeverOlder])
    }

    @Test mutating func aReadBehindAnotherRead() {
        let first = self.write()
        let unknown = self.write(from: first, .unknown)
        self.read(unknown)
        self.read(first)
        #expect(self.broken == [.readsAreNeverOlder])
    }

    @Test mutating func aReadThatBeganBeforeTheSaveEndedMayMissIt() {
        let first = self.write()
        let beginning = self.checker.readBegan(self.session)
        self.write(from: first)
        self.checker.readEnded(beginning, first)
        #expect(self.broken.isEmpty)
    }

    @Test mutating func nothingInPlaceOfAnAcknowledgedSave() {
        self.read(nil)
        #expect(self.broken.isEmpty)
        self.write()
        self.read(nil)
        #expect(self.broken == [.acknowledgedIsRead])
    }

    @Test mutating func aSessionMayExpire() {
        self.write()
        self.checker.readEndedWithNothing(self.checker.readBegan(self.session), mayHaveExpired: true)
        #expect(self.broken.isEmpty)
    }

    @Test mutating func aDiscardedSaveThatIsRead() {
        let first = self.write()
        let discarded = self.write(from: first, .discarded)
        self.read(discarded)
        #expect(self.broken == [.discardedIsNeverRead])
    }

    @Test mutating func aDiscardedSaveThatIsInTheChain() {
        let first = self.write()
        let read = self.checker.writeBegan(self.session, base: first)
        self.read(read)
        self.checker.writeEnded(read, .discarded)
        #expect(self.broken == [.discardedIsNeverRead])
        let discarded = self.write(from: read, .discarded)
        self.write(from: discarded)
        #expect(self.broken == [.discardedIsNeverRead, .discardedIsNeverRead])
    }

    @Test mutating func aForkOfUnknownWrites() {
        let first = self.write()
        let left = self.write(from: first, .unknown)
        let right = self.write(from: first, .unknown)
        self.read(self.write(from: left, .unknown))
        self.read(right)
        #expect(self.broken == [.acknowledgedStaysInTheChain])
    }

    @Test mutating func aRevival() {
        let first = self.write()
        self.checker.destructionBegan(self.session)
        self.read(first)
        #expect(self.broken.isEmpty)
        self.checker.destructionWasAcknowledged(self.session)
        self.read(first)
        self.write(from: first)
        #expect(self.broken == [.nothingAfterTheEnd, .nothingAfterTheEnd])
    }

    @Test mutating func whatWasReadAsGoneStaysGone() {
        let first = self.write()
        self.checker.destructionBegan(self.session)
        self.read(nil)
        self.read(first)
        #expect(self.broken == [.nothingAfterTheEnd])
    }

    @Test mutating func ofAnExemptSessionNothingIsPromised() {
        let first = self.write()
        self.write(from: first)
        self.checker.exempt(self.session)
        self.read(first)
        self.read(nil)
        #expect(self.broken.isEmpty)
        #expect(!self.checker.mustBeThere(self.session))
    }
}
