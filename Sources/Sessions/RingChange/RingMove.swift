/// Brings every session to the servers of the new ring, while both rings hold what is written: lists the keys of the old
/// ring's servers, has each session chosen anew, and marks the newcomers complete. No I/O, as `WalkAttempt`.
package struct RingMove<Ring: PoolRing>: Sendable {
    package enum Step: Hashable, Sendable {
        /// List the keys of this server and have those whose servers change chosen anew. Report back by `listed`.
        case list(source: Ring.Server)
        /// Ask this server anything, on this connection only. Report back by `confirmed`.
        case confirm(Ring.Server, on: ConnectionIdentity)
        /// Add the marker, on this connection only. Report back by `confirmed`.
        case mark(Ring.Server, on: ConnectionIdentity)
        case finish(isDone: Bool)
    }

    /// Why it cannot begin.
    package enum Obstacle: Hashable, Sendable {
        /// Servers that may know sessions which nobody else does.
        case missing([Ring.Server])
        /// Servers that are to be added.
        case unreachable([Ring.Server])
    }

    private let conditions: [Ring.Server: ServerCondition]
    private var steps: ArraySlice<Step>

    package static func obstacle(
        to state: PoolState<Ring>,
        conditions: [Ring.Server: ServerCondition]
    ) -> Obstacle? {
        let old = state.guardian
        let missing = old.members.filter { conditions[$0]?.isComplete != true }
        // As for a walk: fewer than r have failed, or what is listed may not be all.
        if missing.count
            >= ReplicaLayout(redundancy: old.redundancy, servers: old.members.count, placement: 0).redundancy
        {
            return .missing(missing)
        }
        let unreachable = state.newcomers.filter { conditions[$0]?.connection == nil }
        return unreachable.isEmpty ? nil : .unreachable(unreachable)
    }

    /// - Parameter conditions: without an obstacle. What was known of a server counts only on the same connection in the end.
    package init(of state: PoolState<Ring>, conditions: [Ring.Server: ServerCondition]) {
        self.conditions = conditions
        var steps: [Step] = []
        for server in state.guardian.members {
            guard let condition = conditions[server], condition.isComplete, let connection = condition.connection else {
                continue
            }
            steps += [.list(source: server), .confirm(server, on: connection)]
        }
        // A newcomer must not have forgotten meanwhile what was moved to it, also where it has a marker from earlier.
        for server in state.newcomers {
            guard let condition = conditions[server], let connection = condition.connection else { continue }
            steps.append(condition.isComplete ? .confirm(server, on: connection) : .mark(server, on: connection))
        }
        self.steps = steps[...]
    }

    package var next: Step { self.steps.first ?? .finish(isDone: true) }

    /// - Parameter isDone: whether all keys were listed, and every session whose servers change was chosen anew, is none
    ///   any more, or is beyond repair.
    package mutating func listed(isDone: Bool) -> Step { self.goOn(isDone) }

    package mutating func confirmed(isThere: Bool) -> Step { self.goOn(isThere) }

    private mutating func goOn(_ isGood: Bool) -> Step {
        guard isGood else {
            self.steps = [.finish(isDone: false)]
            return .finish(isDone: false)
        }
        if self.steps.count > 0 { self.steps.removeFirst() }
        return self.next
    }
}
