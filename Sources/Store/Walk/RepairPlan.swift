/// Which servers a repair marks complete, before it walks and after it. A value: no I/O.
///
/// The rule is `WalkPlan`'s, for all incomplete servers at once: a walk over the keys of all servers is a walk for each.
package struct RepairPlan: Sendable, Equatable {
    /// Taken as they are, in this order: nobody is left who knows what they had.
    package private(set) var accepted: [Int] = []
    /// To be filled; with the servers whose keys must have been listed for each.
    package private(set) var filled: [Int: [Int]] = [:]
    /// Nothing can be done for these now.
    package private(set) var waiting: [Int] = []

    package init(conditions: [WalkPlan.Condition], redundancy: Int) {
        var conditions = conditions
        // A server that is accepted counts as complete for the next one.
        while let server = conditions.indices.first(where: { server in
            conditions[server] == .incomplete
                && WalkPlan(for: server, conditions: conditions, redundancy: redundancy) == .acceptLoss
        }) {
            self.accepted.append(server)
            conditions[server] = .complete
        }
        for server in conditions.indices where conditions[server] == .incomplete {
            switch WalkPlan(for: server, conditions: conditions, redundancy: redundancy) {
            case .walk(let sources): self.filled[server] = sources
            case .acceptLoss, .wait: self.waiting.append(server)
            }
        }
    }
}
