import Testing

@testable import Sessions

/// What memcached is told late.
extension TierOperationTests {
    @Test mutating func memcachedHearsOfASignOutFromWhicheverGatewayAsks() {
        var word = self.tombstone
        word.due = SessionRow.unplaced
        self.memory.adopt(self.key)
        var operation = PlaceOperation(key: self.key)
        guard case .loadRow = operation.start(),
            case .destroyInMemcached = operation.answered(.row(word), &self.memory, at: 1_000_000)
        else {
            Issue.record("another step")
            return
        }
        guard case .finish(isDone: false) = operation.answered(.destroyed(false), &self.memory, at: 1_000_000) else {
            Issue.record("it counts as done")
            return
        }
        #expect(self.memory.unplaced == [self.key])
        let told = operation.answered(.destroyed(true), &self.memory, at: 1_000_000)
        guard case .write(.postpone(_, _, let due)) = told else {
            Issue.record("the row is not told")
            return
        }
        #expect(due == word.record.absoluteDeadline && self.memory.unplaced.isEmpty)
    }

    /// - Returns: the steps, in words.
    private mutating func place(_ answers: [PlaceOperation.Answer]) -> [String] {
        self.memory.adopt(self.key)
        var operation = PlaceOperation(key: self.key)
        _ = operation.start()
        return answers.map { answer in
            switch operation.answered(answer, &self.memory, at: 1_000_000) {
            case .loadRow: "row"
            case .destroyInMemcached: "destroy"
            case .look: "look"
            case .save(_, let proposal): "save \(proposal.identity.version)"
            case .write(.postpone(_, _, let due)): "postpone to \(due)"
            case .write(.upsert(let row, .older)):
                "row \(row.record.identity.version)\(row.newest == row.maybeNewer ? ", perhaps old" : "")"
            case .write: "write"
            case .finish(let isDone): isDone ? "done" : "again"
            }
        }
    }

    @Test mutating func whatTheDatabaseKnowsBetterIsSavedInMemcachedForNobody() {
        var row = self.row(20, after: [10])
        row.due = SessionRow.unplaced
        let saved = PlaceOperation.Answer.saved
        let steps = self.place([.row(row), .seen(.live(self.session(10))), saved, .changed(.applied)])
        // It is compared again when whoever has more to write has done so.
        #expect(steps == ["look", "save 20", "postpone to 2440000", "done"])
        let heir = PlaceOperation.Answer.seen(.live(self.session(25, after: [20, 10])))
        #expect(self.place([.row(row), heir]) == ["look", "postpone to 2440000"])
        #expect(self.memory.unplaced.isEmpty && self.memory.touches.count == 0 && self.memory.counts.avoidedReads == 0)
        // Somebody has gone on from the same state there.
        let other = PlaceOperation.Answer.seen(.live(self.session(15, after: [5])))
        // The row becomes that: never was it chosen, and must not look as if.
        #expect(
            self.place([.row(row), other, .saved, .changed(.applied)]) == [
                "look", "save 1000000000", "row 1000000000, perhaps old", "done",
            ]
        )
        guard case .mark(self.key, 1_000_000_000)? = self.memory.nextBatch(limit: 9, at: 0, isLast: false).first else {
            Issue.record("the row does not say that it is old")
            return
        }
        // Saved in the same microsecond by clocks that differ.
        var twin = self.session(20, after: [5])
        twin.setIdentity(WriteIdentity(version: twin.version, writer: 2))
        #expect(self.place([.row(row), .seen(.live(twin))]).last?.hasPrefix("save") == true)
        // What is above the row already needs no save.
        let above = PlaceOperation.Answer.seen(.live(self.session(25, after: [5])))
        #expect(self.place([.row(row), above, .changed(.applied)]) == ["look", "row 25, perhaps old", "done"])
        guard case .mark(self.key, 25)? = self.memory.nextBatch(limit: 9, at: 0, isLast: false).first else {
            Issue.record("the row does not say that it is old")
            return
        }
        // Over or not, a row of another line is never left as if it had been chosen.
        var over = row
        over.expires = 999_999
        #expect(self.place([.row(over), other]).last?.hasPrefix("save") == true)
        #expect(self.place([.row(over), above]) == ["look", "row 25, perhaps old"])
        // A row that memcached has heard of is the reaper's.
        over.due = 5_000_000
        #expect(self.place([.row(over), above]) == ["look", "done"])
        // It goes on meanwhile.
        #expect(self.place([.row(row), other, .failed]).last == "again")
        // Whoever comes is told that it went back.
        row.newest = 30
        #expect(self.place([.row(row), .seen(.none)]) == ["look", "postpone to 1"])
        #expect(self.memory.counts.reverted == 0)
    }

    @Test mutating func whatCouldNotBeComparedIsNotPlaced() {
        var row = self.row(20, after: [10])
        row.due = SessionRow.unplaced
        #expect(self.place([.failed]) == ["again"])
        #expect(self.place([.row(row), .seen(.unavailable)]) == ["look", "again"])
        #expect(self.place([.row(row), .seen(.live(self.session(10))), .failed]).last == "again")
        #expect(self.memory.unplaced == [self.key])
    }
}
