@testable import Sessions

/// For tests that tell one story: no chance, and no more faults than they name.
extension ReplicaWorld {
    /// Runs one operation to its end, a round trip after another.
    ///
    /// - Parameter delivery: what becomes of the command to a server in a round trip, counted from 1.
    /// - Returns: round trips and commands.
    @discardableResult
    mutating func runToEnd(
        _ index: Int,
        delivery: (_ roundTrip: Int, _ server: Int) -> Delivery = { _, _ in .answered }
    ) -> (roundTrips: Int, commands: Int) {
        var roundTrips = 0
        while !self.isOver(index), roundTrips < 100 {
            let due = self.messages.filter { $0.key.operation == index }.map(\.key)
            if due.isEmpty {
                guard self.running[index].isBackingOff else { break }
                self.perform(.backOffElapsed(index))
                continue
            }
            roundTrips += 1
            for key in due {
                self.perform(.message(key, delivery(roundTrips, key.server)))
            }
        }
        return (roundTrips, self.running[index].commandsSent)
    }

    /// Starts an operation and runs it to its end, undisturbed.
    mutating func run(_ goal: ReplicaOperation.Goal, by gateway: Int = 0, heldDown: Positions = []) -> Ending? {
        let index = self.start(goal, by: gateway, heldDown: heldDown)
        self.runToEnd(index)
        return self.running[index].outcome.map { Ending($0) }
    }

    /// The record with the highest ballot on any server.
    var highestRecord: SessionRecord? {
        self.servers.compactMap { $0.item?.copy?.record }.max { $0.accepted < $1.accepted }
    }

    /// Whether every holder of the record has it.
    func isOnAllHolders(_ record: SessionRecord) -> Bool {
        record.holders.allSatisfy { self.servers[$0].item?.copy?.accepted == record.accepted }
    }

    func ending(of index: Int) -> Ending? { self.outcome(of: index).map { Ending($0) } }

    /// What an undisturbed load finds.
    mutating func loaded(by gateway: Int = 0) -> LoadedRecord? {
        let load = self.start(.load, by: gateway)
        self.runToEnd(load)
        return self.outcome(of: load)?.loaded
    }

    /// The command of this operation to this server arrives and is answered.
    mutating func deliver(_ index: Int, to server: Int, _ delivery: Delivery = .answered) {
        guard let key = self.messages.first(where: { $0.key.operation == index && $0.key.server == server })?.key else {
            return
        }
        self.perform(.message(key, delivery))
    }

    /// A session that is on these servers, and on none else.
    mutating func seedOn(_ holders: Positions) {
        var record = self.seedSession()
        for position in self.servers.indices { self.withServer(position) { $0.forgetItem() } }
        record.holders = holders
        for position in holders { self.withServer(position) { $0.put(ReplicaCopy(accepted: record)) } }
    }
}
