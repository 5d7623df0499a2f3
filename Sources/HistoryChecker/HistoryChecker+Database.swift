/// Sessions with a database behind memcached. When all servers that have a session lose their memory it may go back, but not
/// behind what the database has for certain: its chain is cut there, and goes on from what is put back.
extension HistoryChecker {
    enum Doubt: Sendable {
        case none
        /// What is read or acknowledged now may come from before the loss or after it.
        case lost
        /// Everything that began before the loss was repaired has ended: the next read that begins tells what is left.
        case settling
    }

    /// The write outlives all memory, as far as it is in the chain.
    package mutating func keeps(_ number: WriteNumber) {
        let session = self.writes[number.index].session
        guard let place = self.writes[number.index].place else { return }
        self.sessions[session.index].kept = max(self.sessions[session.index].kept, place)
    }

    /// All memory of the session may be lost.
    /// - Parameters:
    ///   - isBuried: the database knows whether it is destroyed; otherwise an end that was acknowledged may be forgotten.
    ///   - mustSay: where the link that is the newest now is lost, it is known that somebody will hear so.
    package mutating func mayGoBack(_ session: SessionNumber, isBuried: Bool, mustSay: Bool) {
        self.moment += 1
        if !isBuried, self.sessions[session.index].isOver {
            self.sessions[session.index].isOver = false
            self.sessions[session.index].mayBeDestroyed = true
        }
        let isFirst = self.sessions[session.index].doubt == .none
        let newest = self.sessions[session.index].chain.count - 1
        self.sessions[session.index].mustSay = mustSay && isFirst && newest >= 0 ? newest : nil
        if isFirst {
            self.sessions[session.index].hasSaid = false
            self.sessions[session.index].hasLost = false
        }
        self.sessions[session.index].doubt = .lost
    }

    /// Whoever had to say it may have been unable to.
    package mutating func mayStaySilent(_ session: SessionNumber) {
        self.sessions[session.index].mustSay = nil
    }

    /// The newest write of which it is certain that it was chosen.
    package func newest(_ session: SessionNumber) -> WriteNumber? { self.sessions[session.index].chain.last }

    package func isInDoubt(_ session: SessionNumber) -> Bool { self.sessions[session.index].doubt != .none }

    /// Nothing is under way any more that began before the loss was repaired.
    package mutating func lossIsRepaired(_ session: SessionNumber) {
        if self.sessions[session.index].doubt == .lost { self.sessions[session.index].doubt = .settling }
    }

    /// A visitor was told that the session has gone back, which may be known late.
    package mutating func reverted(_ session: SessionNumber) {
        self.moment += 1
        let isNews = self.sessions[session.index].hasLost && !self.sessions[session.index].hasSaid
        self.sessions[session.index].hasSaid = true
        // What a destruction that is under way has left in some places looks like a loss from others.
        if self.sessions[session.index].doubt == .none, !isNews, !self.sessions[session.index].mayBeDestroyed {
            self.report(.goingBackIsSaid, session, "it is said to have gone back, and nothing was lost")
        }
    }

    /// Whether a write was made from another, or is that.
    package func comes(_ number: WriteNumber, from other: WriteNumber) -> Bool {
        var next: WriteNumber? = number
        while let number = next {
            if number == other { return true }
            next = self.writes[number.index].base
        }
        return false
    }

    /// The row of a session was taken away that is alive in memcached.
    package mutating func wasReapedAlive(_ session: SessionNumber) {
        self.moment += 1
        self.report(.theLivingAreNotReaped, session, "its row was taken away while it was alive")
    }

    /// - Returns: whether the chain may be cut behind this place, which has happened then.
    mutating func goesBack(_ session: SessionNumber, to place: Int, for number: WriteNumber) -> Bool {
        guard self.sessions[session.index].doubt != .none else { return false }
        if place < self.sessions[session.index].kept {
            let kept = self.sessions[session.index].chain[self.sessions[session.index].kept]
            self.report(.durableIsKept, session, "\(number) comes from before \(kept), which outlives all memory")
            self.sessions[session.index].kept = place
        }
        self.cut(session, behind: place)
        return true
    }

    /// A read has shown what is left, if it began late enough.
    mutating func settled(by beginning: Beginning, _ place: Int) {
        let session = beginning.session
        guard self.sessions[session.index].doubt == .settling, beginning.isAfterTheLoss else { return }
        self.sessions[session.index].doubt = .none
        guard place < self.sessions[session.index].chain.count - 1, place >= beginning.floor else { return }
        if let newest = self.sessions[session.index].mustSay, place < newest, !self.sessions[session.index].hasSaid {
            let lost = self.sessions[session.index].chain[newest]
            self.report(.goingBackIsSaid, session, "\(lost) is lost, and nobody was told")
        }
        self.cut(session, behind: place)
    }

    private mutating func cut(_ session: SessionNumber, behind place: Int) {
        if place + 1 < self.sessions[session.index].chain.count { self.sessions[session.index].hasLost = true }
        for link in self.sessions[session.index].chain[(place + 1)...] { self.writes[link.index].place = nil }
        self.sessions[session.index].chain.removeSubrange((place + 1)...)
    }
}
