/// A ring as gateways agree on it: who the servers are, and how many copies there are of each session.
package protocol PoolRing: Hashable, Sendable {
    associatedtype Server: Hashable, Sendable

    var members: [Server] { get }
    var redundancy: Int { get }
    /// Whether every session has the same servers in both; what may differ is who is to hold new records.
    func placesAlike(_ other: Self) -> Bool
}

extension PoolRing {
    /// How many of the members may be missed where every quorum of every session shall meet one of the others.
    var tolerance: Int {
        ReplicaLayout(redundancy: self.redundancy, servers: self.members.count, placement: 0).quorum - 1
    }
}

/// What the gateways of a pool work by. Each server keeps it in its marker, which is lost with the server's memory: a
/// gateway takes a server's answers only for as long as it knows, from having asked not long ago, that the server is not
/// ahead of it. So whoever has written a state to all servers but those that no quorum can do without, and has waited,
/// knows that nobody works by the state before.
///
/// A state is followed by these and no others, each one epoch higher:
///
///     stable(A)        joining(A → B), or stable(A) with other servers drained
///     joining(A → B)   joined(A → B) when every session is on B's servers too; stable(A) where B is not wanted any more
///     joined(A → B)    stable(B)
package struct PoolState<Ring: PoolRing>: Hashable, Sendable {
    package enum Stage: Hashable, Sendable {
        case stable(Ring)
        /// Records are held by both rings' servers; the first one's alone are heard.
        case joining(from: Ring, to: Ring)
        /// Both rings' servers are heard.
        case joined(from: Ring, to: Ring)
    }

    /// 0 of what is only assumed, as no server has said anything.
    package var epoch: UInt64
    package var stage: Stage

    package init(epoch: UInt64, stage: Stage) {
        self.epoch = epoch
        self.stage = stage
    }

    /// The ring that every gateway hears in this state, and in those before and after it that gateways may be in.
    package var guardian: Ring {
        switch self.stage {
        case .stable(let ring): ring
        case .joining(let from, _), .joined(let from, _): from
        }
    }

    /// Where sessions are to be in the end.
    package var goal: Ring {
        switch self.stage {
        case .stable(let ring): ring
        case .joining(_, let to), .joined(_, let to): to
        }
    }

    package var isStable: Bool {
        if case .stable = self.stage { true } else { false }
    }

    /// All servers of its rings, those of the first one first.
    package var members: [Ring.Server] {
        let first = self.guardian.members
        return first + self.goal.members.filter { !first.contains($0) }
    }

    /// Servers that only the new ring has.
    package var newcomers: [Ring.Server] {
        let first = self.guardian.members
        return self.goal.members.filter { !first.contains($0) }
    }

    /// The servers that are walked for when they have forgotten. A newcomer is filled by the change itself; a server that
    /// only the old ring has is about to go.
    package var walkedMembers: [Ring.Server] {
        switch self.stage {
        case .stable(let ring): ring.members
        case .joining(let from, _): from.members
        case .joined(_, let to): to.members
        }
    }

    package func followed(by stage: Stage) -> PoolState { PoolState(epoch: self.epoch + 1, stage: stage) }
}
