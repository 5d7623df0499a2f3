import HistoryChecker
import Testing

/// Sessions that may go back, as all memory was lost.
struct DatabaseHistoryTests {
    private var checker = HistoryChecker()
    private let session: HistoryChecker.SessionNumber

    init() {
        self.session = self.checker.newSession()
    }

    private var broken: [Promise] { self.checker.violations.map(\.promise) }

    @discardableResult
    private mutating func write(from base: HistoryChecker.WriteNumber? = nil) -> HistoryChecker.WriteNumber {
        let number = self.checker.writeBegan(self.session, base: base)
        self.checker.writeEnded(number, .acknowledged)
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

    private mutating func lose(isBuried: Bool = false, mustSay: Bool = false) {
        self.checker.mayGoBack(self.session, isBuried: isBuried, mustSay: mustSay)
        self.checker.lossIsRepaired(self.session)
    }

    @Test mutating func whatIsNotKeptMayBeLostOnce() {
        let first = self.write()
        self.checker.keeps(first)
        let second = self.write(from: first)
        self.lose()
        self.read(first)
        #expect(self.broken.isEmpty)
        // Nothing was lost since: it goes on from there.
        let third = self.write(from: first)
        self.read(third)
        #expect(self.broken.isEmpty)
        self.read(second)
        #expect(!self.broken.isEmpty)
    }

    /// A server that was none of the winner's holders has it still.
    @Test mutating func whatWasDiscardedMayBeLeftWhereWhatWonIsLost() {
        let first = self.write()
        self.write(from: first)
        let loser = self.checker.writeBegan(self.session, base: first)
        self.checker.writeEnded(loser, .discarded)
        self.lose()
        self.read(loser)
        #expect(self.broken.isEmpty)
        // Not otherwise.
        let next = self.checker.writeBegan(self.session, base: loser)
        self.checker.writeEnded(next, .discarded)
        self.read(next)
        #expect(self.broken == [.discardedIsNeverRead])
    }

    @Test mutating func whatIsKeptIsNeverLost() {
        let first = self.write()
        let second = self.write(from: first)
        self.checker.keeps(second)
        self.lose()
        self.read(first)
        #expect(self.broken == [.durableIsKept])
    }

    @Test mutating func whatIsKeptIsNotReplacedByAnotherLine() {
        let first = self.write()
        let second = self.write(from: first)
        self.checker.keeps(second)
        self.lose()
        self.write(from: first)
        #expect(self.broken == [.durableIsKept])
    }

    @Test mutating func aKeptSessionIsThere() {
        let first = self.write()
        self.lose()
        self.read(nil)
        #expect(self.broken.isEmpty)
        self.read(first)
        self.checker.keeps(first)
        self.lose()
        self.read(nil)
        #expect(self.broken == [.durableIsKept])
    }

    @Test mutating func anEndThatOnlyMemoryKnewMayBeForgotten() {
        let first = self.write()
        self.checker.destructionBegan(self.session)
        self.checker.destructionWasAcknowledged(self.session)
        self.lose(isBuried: false)
        self.read(first)
        #expect(self.broken.isEmpty)
        self.checker.destructionWasAcknowledged(self.session)
        self.lose(isBuried: true)
        self.read(first)
        #expect(self.broken == [.nothingAfterTheEnd])
    }

    @Test mutating func goingBackIsSaid() {
        let first = self.write()
        self.write(from: first)
        self.lose(mustSay: true)
        self.read(first)
        #expect(self.broken == [.goingBackIsSaid])
    }

    @Test mutating func goingBackIsSaidWhereSomethingIsLost() {
        let first = self.write()
        let second = self.write(from: first)
        self.lose(mustSay: true)
        self.checker.reverted(self.session)
        self.read(first)
        #expect(self.broken.isEmpty)
        self.checker.reverted(self.session)
        #expect(self.broken == [.goingBackIsSaid])
        _ = second
    }

    @Test mutating func goingBackMayBeSaidOfWhatIsBeingDestroyed() {
        self.write()
        self.checker.destructionBegan(self.session)
        self.checker.reverted(self.session)
        #expect(self.broken.isEmpty)
    }

    @Test mutating func goingBackMayBeSaidLate() {
        let first = self.write()
        self.write(from: first)
        self.lose()
        self.read(first)
        self.checker.reverted(self.session)
        #expect(self.broken.isEmpty)
        self.checker.reverted(self.session)
        #expect(self.broken == [.goingBackIsSaid])
    }

    @Test mutating func theLivingAreNotReaped() {
        self.write()
        self.checker.wasReapedAlive(self.session)
        #expect(self.broken == [.theLivingAreNotReaped])
    }
}
