package import Sessions

/// Which servers a walk over the keys of all servers marks complete at its end. A value: no I/O.
///
/// The rule is `WalkPlan`'s, for all incomplete servers at once: a walk over the keys of all servers is a walk for each.
package struct RepairPlan: Sendable, Equatable {
    /// To be filled; with the servers whose keys must have been listed for each.
    package private(set) var filled: [Int: [Int]] = [:]
    /// Those of them that are taken with what could be found: nobody is left who knows all that they had.
    package private(set) var accepted: Set<Int> = []
    /// Nothing can be done for these now.
    package private(set) var waiting: [Int] = []

    package init(conditions: [ServerCondition], redundancy: Int) {
        for server in conditions.indices where conditions[server].isIncomplete {
            switch WalkPlan(for: server, conditions: conditions, redundancy: redundancy) {
            case .walk(let sources):
                self.filled[server] = sources
            case .acceptLoss(let sources):
                self.filled[server] = sources
                self.accepted.insert(server)
            case .wait:
                self.waiting.append(server)
            }
        }
    }
}
