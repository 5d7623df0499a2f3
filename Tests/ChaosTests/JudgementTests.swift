import Testing

@testable import Chaos

struct JudgementTests {
    /// Visits of one session, one after the other unless told otherwise.
    private struct Story {
        var visits: [Visit] = []
        var time: Int64 = 0

        mutating func add(
            _ purpose: Visit.Purpose,
            _ outcome: Visit.Outcome,
            write: Int? = nil,
            found: String = "",
            session: Int? = 1,
            newSession: Int? = nil,
            span: (Int64, Int64)? = nil
        ) {
            let (began, ended) = span ?? (self.time + 1, self.time + 2)
            self.time = max(self.time, ended)
            var visit = Visit(purpose, session: session, began: began, ended: ended)
            visit.write = write
            visit.status = 200
            visit.outcome = outcome
            visit.hasPage = true
            visit.newSession = newSession
            if let lineage = Lineage(found) { visit.found = lineage } else { visit.isGarbled = true }
            self.visits.append(visit)
        }

        /// No answer came.
        mutating func addLost(_ purpose: Visit.Purpose, write: Int?, session: Int? = 1) {
            var visit = Visit(purpose, session: session, began: self.time + 1, ended: self.time + 2)
            visit.write = write
            self.time += 2
            self.visits.append(visit)
        }

        static var begun: Story {
            var story = Story()
            story.add(.write, .new, write: 1, session: nil, newSession: 1)
            story.add(.write, .saved, write: 2, found: "1 1")
            return story
        }

        var wrongs: [Int: Wrong] { Judgement(of: self.visits).wronged }
    }

    @Test func aSessionThatGoesOnIsNotWronged() {
        var story = Story.begun
        story.add(.read, .loaded, found: "2 2 1")
        story.add(.write, .discarded, write: 3, found: "2 2 1", span: (10, 20))
        story.add(.write, .saved, write: 4, found: "2 2 1", span: (11, 19))
        story.add(.read, .loaded, found: "3 4 2 1", span: (21, 22))
        story.add(.signIn, .moved, write: 5, found: "3 4 2 1", newSession: 2)
        story.add(.read, .loaded, found: "1 5", session: 2)
        story.add(.read, .unchanged)
        story.add(.signOut, .destroyed, found: "1 5", session: 2)
        story.add(.read, .unchanged, session: 2)
        #expect(story.wrongs == [:])
    }

    @Test func aWriteWhoseAnswerWasLostMayBeInTheSessionOrNot() {
        var story = Story.begun
        story.addLost(.write, write: 3)
        var without = story
        without.add(.write, .saved, write: 4, found: "2 2 1")
        without.add(.read, .loaded, found: "3 4 2 1")
        #expect(without.wrongs == [:])
        var with = story
        with.addLost(.write, write: 4)
        // What both were made from is known from here only.
        with.add(.write, .saved, write: 5, found: "4 4 3 2 1")
        with.add(.read, .loaded, found: "5 5 4 3 2 1")
        #expect(with.wrongs == [:])
    }

    @Test func aWriteMayBeginBeforeTheOneItComesFrom() {
        var story = Story.begun
        story.add(.write, .saved, write: 4, found: "3 3 2 1", span: (10, 30))
        story.add(.write, .saved, write: 3, found: "2 2 1", span: (11, 12))
        story.add(.read, .loaded, found: "4 4 3 2 1")
        #expect(story.wrongs == [:])
    }

    @Test func aSaveThatIsGoneIsLost() {
        var story = Story.begun
        story.add(.write, .saved, write: 3, found: "1 1")
        #expect(story.wrongs == [1: .overwritten])
        var rolledBack = Story.begun
        rolledBack.addLost(.write, write: 3)
        rolledBack.add(.read, .loaded, found: "2 3 1")
        #expect(rolledBack.wrongs == [1: .lost])
    }

    @Test func aSessionThatIsGoneIsLost() {
        var story = Story.begun
        story.add(.write, .new, write: 3, newSession: 2)
        story.add(.read, .loaded, found: "1 3", session: 2)
        #expect(story.wrongs == [1: .lost])
    }

    @Test func anOlderStateIsStale() {
        var story = Story.begun
        story.add(.read, .loaded, found: "1 1")
        #expect(story.wrongs == [1: .stale])
        // While the save was under way both were right.
        var early = Story()
        early.add(.write, .new, write: 1, session: nil, newSession: 1)
        early.add(.write, .saved, write: 2, found: "1 1", span: (10, 20))
        early.add(.read, .loaded, found: "1 1", span: (20, 21))
        #expect(early.wrongs == [:])
    }

    @Test func aDiscardedSaveThatIsReadHasOverwritten() {
        var story = Story.begun
        story.add(.write, .discarded, write: 3, found: "2 2 1")
        story.add(.read, .loaded, found: "3 3 2 1")
        #expect(story.wrongs == [1: .overwritten])
    }

    @Test func aSessionAfterItsEndIsResurrected() {
        var story = Story.begun
        story.add(.signOut, .destroyed, found: "2 2 1")
        story.add(.read, .loaded, found: "2 2 1")
        #expect(story.wrongs == [1: .resurrected])
        // A sign-out that nobody acknowledged may have failed.
        var unknown = Story.begun
        unknown.addLost(.signOut, write: nil)
        unknown.add(.read, .loaded, found: "2 2 1")
        #expect(unknown.wrongs == [:])
    }

    @Test func whatWasNeverWrittenHereIsForeign() {
        var story = Story.begun
        story.add(.write, .new, write: 7, session: nil, newSession: 2)
        var mixed = story
        mixed.add(.read, .loaded, found: "1 7")
        #expect(mixed.wrongs == [1: .foreign])
        var invented = story
        invented.add(.read, .loaded, found: "1 99")
        #expect(invented.wrongs == [1: .foreign])
        var garbled = story
        garbled.add(.read, .loaded, found: "what is this")
        #expect(garbled.wrongs == [1: .foreign])
    }

    @Test func degradedAnswersPromiseNothing() {
        var story = Story.begun
        story.add(.read, .degraded, found: "1 1")
        #expect(story.wrongs == [:])
    }
}
