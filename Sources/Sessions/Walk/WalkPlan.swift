/// What one gateway knows of one server.
package enum ServerCondition: Sendable, Hashable {
    /// The marker was seen on this connection.
    case complete(ConnectionIdentity)
    /// Up, and its marker is missing.
    case incomplete(ConnectionIdentity)
    case down
    /// Its sessions are not walked for: a server that a ring has not yet, or no more.
    case outside

    package var isComplete: Bool {
        if case .complete = self { true } else { false }
    }

    package var connection: ConnectionIdentity? {
        switch self {
        case .complete(let connection), .incomplete(let connection): connection
        case .down, .outside: nil
        }
    }

    package var isIncomplete: Bool {
        if case .incomplete = self { true } else { false }
    }
}

/// Whether a server that has forgotten may be walked for, and from which servers. A value: no I/O.
///
/// A walk must list the keys from at least q complete servers of every replica set that the server belongs to, and
/// any r − 1 servers may be missing for that: so it needs that fewer than r servers, this one included, have failed.
package enum WalkPlan: Sendable, Equatable {
    /// List the keys of these servers, then mark it complete.
    case walk(sources: [Int])
    /// As many have forgotten as could have held a session, and none is left that may come back with its memory: what
    /// they alone knew is lost. List the keys of these, as sessions of other replica sets may depend on this server
    /// alone, leave what is beyond repair, and mark it complete, so that the others can be walked for.
    case acceptLoss(sources: [Int])
    /// A server that is down may come back with what is needed, or another one goes first.
    case wait

    package init(for server: Int, conditions: [ServerCondition], redundancy: Int) {
        let others = conditions.indices.filter { $0 != server && conditions[$0] != .outside }
        let complete = others.filter { conditions[$0].isComplete }
        let failed = others.count - complete.count + 1
        if failed < redundancy {
            self = .walk(sources: complete)
            return
        }
        // A sole holder has nobody to be filled from.
        guard redundancy > 1 else {
            self = .acceptLoss(sources: [])
            return
        }
        let isFirst = !others.contains { $0 < server && conditions[$0].isIncomplete }
        self = !others.contains { conditions[$0] == .down } && isFirst ? .acceptLoss(sources: complete) : .wait
    }
}
